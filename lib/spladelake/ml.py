"""The encoder as a stage of a pyspark.ml Pipeline."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from spladelake.config import DEFAULT_MODEL
from spladelake.errors import UsageError
from spladelake.functions import encode
from spladelake.functions.columns import text_column
from spladelake.spark.encode.column import Kind, OnError

_DEFAULTS: dict[str, Any] = {
    "outputCol": "vector",
    "model": DEFAULT_MODEL,
    "kind": "document",
    "minimumWeight": 0.0,
    "onError": "raise",
}


class SparseEncoder(
    Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable["SparseEncoder"], DefaultParamsWritable
):
    """Adds the sparse vectors of a column of texts, as `spladelake.functions.encode` does.

        Pipeline(stages=[SQLTransformer(statement=…), SparseEncoder(inputCol="text", model="splade-tiny")])

    - inputCol: the column of texts.
    - outputCol: the column of vectors, struct<indices: array<int>, values: array<float>> (default: vector).
    - model, kind, maxActiveDims, maxLength, minimumWeight, onError: as in `encode`.

    `transform` raises UsageError if inputCol is missing or holds no texts, and for an unusable model.
    """

    _input_kwargs: dict[str, Any]  # set by keyword_only

    model: ClassVar[Param[str]] = Param(
        Params._dummy(), "model", "model that encodes, as in encode_texts", TypeConverters.toString
    )
    kind: ClassVar[Param[str]] = Param(Params._dummy(), "kind", "document or query", TypeConverters.toString)
    maxActiveDims: ClassVar[Param[int]] = Param(  # noqa: N815 - names as in pyspark.ml
        Params._dummy(), "maxActiveDims", "most terms of a vector, the heaviest ones", TypeConverters.toInt
    )
    maxLength: ClassVar[Param[int]] = Param(  # noqa: N815
        Params._dummy(), "maxLength", "tokens of a text, special ones included", TypeConverters.toInt
    )
    minimumWeight: ClassVar[Param[float]] = Param(  # noqa: N815
        Params._dummy(), "minimumWeight", "lighter terms are dropped", TypeConverters.toFloat
    )
    onError: ClassVar[Param[str]] = Param(  # noqa: N815
        Params._dummy(), "onError", "raise, null or struct", TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,  # noqa: N803
        outputCol: str | None = None,  # noqa: N803
        model: str | None = None,
        kind: str | None = None,
        maxActiveDims: int | None = None,  # noqa: N803
        maxLength: int | None = None,  # noqa: N803
        minimumWeight: float | None = None,  # noqa: N803
        onError: str | None = None,  # noqa: N803
    ) -> None:
        """Take the parameters of the class."""
        super().__init__()
        self._setDefault(**_DEFAULTS)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(self, **parameters: Any) -> SparseEncoder:  # noqa: N802
        """Set parameters by name, as the constructor takes them."""
        return self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        if not self.isSet(self.inputCol):
            raise UsageError(
                "SparseEncoder", "inputCol is not set", "wanted a column of texts", "Set inputCol to a column of texts."
            )
        column = text_column(dataset, self.getInputCol(), "the DataFrame")
        optional = {
            name: self.getOrDefault(param)
            for name, param in (("max_active_dims", self.maxActiveDims), ("max_length", self.maxLength))
            if self.isDefined(param)
        }
        kind, on_error = self.getOrDefault(self.kind), self.getOrDefault(self.onError)
        vectors = encode(
            dataset[column],
            model=self.getOrDefault(self.model),
            kind=cast("Kind", kind),
            minimum_weight=self.getOrDefault(self.minimumWeight),
            on_error=cast("OnError", on_error),
            **optional,
        )
        return dataset.withColumn(self.getOutputCol(), vectors)
