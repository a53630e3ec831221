"""The vocabulary table beside the vectors: the term of each id."""

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
    """Write the vocabulary of a model unless it is current. Every job writes the same terms for a model.

    - rows: returns (term_id, token).
    - properties: properties of the table, `model_id` among them.
    """
    lineage = vocabulary_lineage(properties["model_id"])
    if is_current(session, target, lineage):
        set_properties(session, target, properties)
    else:
        replace_rows(session, target, VOCABULARY, rows(), lineage=lineage, properties=properties)


def vocabulary_lineage(model_id: str) -> Lineage:
    """Return the lineage of a vocabulary."""
    return Lineage("encode_texts", {}, {"model_id": model_id})


def token_rows(session: SparkSession, tokens: Sequence[str]) -> DataFrame:
    """Return (term_id, token) of tokens in the order of their ids."""
    # Spark reads Arrow itself. For a list of tuples it would start a Python worker in a stage of one task. If that
    # worker hung, speculation would not begin, because no other task of the stage has ended.
    table = pa.table({"term_id": pa.array(range(len(tokens)), pa.int32()), "token": pa.array(tokens, pa.string())})
    return session.createDataFrame(table, VOCABULARY.struct).coalesce(1)
