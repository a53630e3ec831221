"""One side of an encode job, documents or queries, and its tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import SparkSession

from spladelake.config import EncodeTexts
from spladelake.encoder import Checkpoint
from spladelake.passages.settings import PROPERTY, PassageSettings
from spladelake.spark.encode.text_tables import PROPERTY as TEXTS
from spladelake.spark.encode.text_tables import TextTable
from spladelake.spark.encode.texts import Side
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import PASSAGE_VECTORS, VECTORS


@dataclass(frozen=True)
class SideJob:
    """One side of an encode job: the tables that it reads and writes, its model and its options.

    - checkpoint: the models of both sides; see `model`.
    - table: the table of the texts.
    - had: properties that the table of vectors has, which an update must replace even by nothing.
    - passages: how documents are split; None if each text has one vector.
    """

    session: SparkSession
    lake: Lake
    side: Side
    checkpoint: Checkpoint
    options: EncodeTexts
    name: str
    table: TextTable
    had: frozenset[str] = frozenset()
    passages: PassageSettings | None = None

    @property
    def model(self) -> Checkpoint:
        """The model that encodes this side, under the model_id of both."""
        return self.checkpoint.for_kind(self.side.kind)

    @property
    def source(self) -> TableRef:
        return self.table.ref

    @property
    def target(self) -> TableRef:
        return self.lake.vectors(self.name, self.side.name)

    @property
    def staged(self) -> TableRef:
        return self.lake.staged(self.name, self.side.name)

    @property
    def schema(self) -> TableSchema:
        """The schema of the vectors' table."""
        return VECTORS if self.passages is None else PASSAGE_VECTORS

    @property
    def label(self) -> str:
        """Name of this side's rows in the quarantine."""
        return f"encode_texts {self.side.name}: {self.target}"

    def lineage(self, version: int) -> Lineage:
        """Return the lineage of vectors made from a version of the texts."""
        settings: dict[str, Any] = {
            "model_id": self.checkpoint.model_id,
            **self.table.settings(),
            "max_text_bytes": self.options.max_text_bytes,
        }
        if self.passages is not None:
            settings["passages"] = asdict(self.passages)
        return Lineage("encode_texts", {self.side.name: [str(self.source), version]}, settings)

    def properties(self, version: int) -> dict[str, str]:
        """Return the table properties of vectors made from a version of the texts."""
        said = {
            "model": self.checkpoint.name,
            "model_id": self.checkpoint.model_id,
            "max_length": str(self.model.max_length),
            "vocabulary_size": str(self.checkpoint.vocabulary_size),
            "source": str(self.source),
            "source_version": str(version),
        }
        for name, value in (("query_model", self.checkpoint.query_model), (TEXTS, self.table.property())):
            if value or f"spladelake.{name}" in self.had:
                said[name] = value or ""
        if self.passages is not None:
            said[PROPERTY] = self.passages.as_json()
        return said
