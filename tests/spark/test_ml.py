"""The encoder as a stage of a Pipeline: saved and loaded, it makes the same vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import SparkSession

import spladelake.functions as sl
from spladelake.errors import UsageError
from spladelake.ml import SparseEncoder
from support.collections import FRUIT


def test_a_pipeline_with_an_encoder_makes_the_same_vectors_after_it_was_saved(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = spark.createDataFrame([*FRUIT.items(), ("null", None)], "doc_id string, text string").coalesce(1)
    lower = SQLTransformer(statement="SELECT doc_id, lower(text) AS text FROM __THIS__")
    encoder = SparseEncoder(inputCol="text", outputCol="sparse", model="splade-tiny", kind="query", maxActiveDims=9)
    made = Pipeline(stages=[lower, encoder]).fit(texts)
    made.write().overwrite().save(str(tmp_path / "pipeline"))
    loaded = PipelineModel.load(str(tmp_path / "pipeline"))
    stage = loaded.stages[1]
    assert isinstance(stage, SparseEncoder)
    assert stage.extractParamMap().keys() == {stage.getParam(p.name) for p in encoder.extractParamMap()}
    wanted = texts.selectExpr("doc_id", "lower(text) AS text").withColumn(
        "sparse", sl.encode("text", model="splade-tiny", kind="query", max_active_dims=9)
    )
    rows = [sorted(map(tuple, frame.collect())) for frame in (made.transform(texts), loaded.transform(texts), wanted)]
    assert rows[0] == rows[1] == rows[2]
    assert {len(row[2]["indices"]) for row in rows[0]} == {0, 9}


def test_a_column_that_holds_no_texts_is_refused_by_its_name(spark: SparkSession) -> None:
    frame = spark.range(2).withColumnRenamed("id", "price")
    for column, said in (("price", "column 'price': the type is bigint"), ("pri", "did you mean 'price'")):
        with pytest.raises(UsageError, match=said):
            SparseEncoder(inputCol=column, model="splade-tiny").transform(frame)
    with pytest.raises(UsageError, match="inputCol is not set"):
        SparseEncoder(model="splade-tiny").transform(frame)
