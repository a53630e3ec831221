"""The vocabulary beside the vectors: which term an id stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.properties import set_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VOCABULARY
from spladelake.spark.tables.write import replace_rows


def write_vocabulary(
    session: SparkSession, target: TableRef, rows: Callable[[], DataFrame], properties: Mapping[str, str]
) -> None:
    """Write the vocabulary of a model, once: the terms of a model are the same, whichever job writes them.

    rows: (term_id, token). properties: those of the table, `model_id` among them.
    """
    lineage = vocabulary_lineage(properties["model_id"])
    if is_current(session, target, lineage):
        set_properties(session, target, properties)
    else:
        replace_rows(session, target, VOCABULARY, rows(), lineage=lineage, properties=properties)


def vocabulary_lineage(model_id: str) -> Lineage:
    """What the rows of a vocabulary are made from."""
    return Lineage("encode_texts", {}, {"model_id": model_id})


def token_rows(session: SparkSession, tokens: Sequence[str]) -> DataFrame:
    """(term_id, token) of tokens in the order of their ids."""
    # As Arrow, of which Spark makes rows itself. A list of tuples takes a Python worker in a stage of one task, and if
    # that worker hangs no speculation begins, since none of the stage's tasks has ended.
    table = pa.table({"term_id": pa.array(range(len(tokens)), pa.int32()), "token": pa.array(tokens, pa.string())})
    return session.createDataFrame(table, VOCABULARY.struct).coalesce(1)
