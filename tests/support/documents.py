"""Documents tables made on the spot, and the vectors made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pyspark.sql import SparkSession

from spladelake.encoder import SpladeEncoder
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES
from spladelake.spark.tables.write import replace_rows
from support.ledger import LEDGER
from support.tables import table_rows

# The same float32 sums in batches of another shape.
TOLERANCE = 1e-5
WORDS = ["apple", "bread", "river", "train", "mouse", "stone", "paper", "light", "sugar", "cloud"]


def text(n: int) -> str:
    """A text of its own for every number."""
    return f"{WORDS[n % 10]} and {WORDS[n // 10 % 10]} number {n}"


def write_documents(spark: SparkSession, lake: str, texts: Mapping[str, str | None]) -> None:
    """Make the texts the documents of the lake, as one commit."""
    rows = spark.createDataFrame([(i, None, t) for i, t in texts.items()], DOCUMENTS.struct).coalesce(1)
    ref = TableRef(path=f"{lake}/documents")
    replace_rows(spark, ref, DOCUMENTS, rows, lineage=Lineage("test", {}, {}))


def write_queries(spark: SparkSession, lake: str, texts: Mapping[str, str | None]) -> None:
    """Make the texts the queries of the lake, as one commit."""
    rows = spark.createDataFrame(list(texts.items()), QUERIES.struct).coalesce(1)
    replace_rows(spark, TableRef(path=f"{lake}/queries"), QUERIES, rows, lineage=Lineage("test", {}, {}))


def vectors(spark: SparkSession, lake: str, name: str = "splade-tiny") -> dict[str, dict[int, float]]:
    """Weights by term of every document, each of which stands once."""
    rows = table_rows(f"{lake}/vectors/{name}/documents")
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in rows}


def encoded_alone(texts: Mapping[str, str | None]) -> dict[str, dict[int, float]]:
    """Weights by term of every text as the bare encoder, splade-tiny without Spark, gives them to each text alone."""
    encoder, found = SpladeEncoder.load("splade-tiny", threads=1), {}
    for i, of_document in texts.items():
        indices, values = encoder.encode_documents([of_document]).row(0)
        found[i] = dict(zip(indices.tolist(), values.tolist(), strict=True))
    return found


def assert_same(found: Mapping[str, Mapping[int, float]], wanted: Mapping[str, Mapping[int, float]]) -> None:
    """The same documents with the same weights, to the rounding of sums in another order."""
    LEDGER.compared(found, wanted)
    assert set(found) == set(wanted)
    for i, terms in wanted.items():
        weights = [(found[i].get(t, 0.0), terms.get(t, 0.0)) for t in {*terms, *found[i]}]
        assert np.allclose(*np.array(weights).T, atol=TOLERANCE, rtol=0) if weights else True
