"""Retrieval from vectors of passages: which runs rank documents, and where the best passage of each stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.config import Ranking, RetrieveRun
from spladelake.errors import UsageError
from spladelake.passages import ID_SUFFIX, passage_id
from spladelake.passages.aggregate import DEFAULT, Aggregate, aggregate_of
from spladelake.spark.encode.passages.ids import document_in, ending
from spladelake.spark.retrieve.candidates import Kept, documents
from spladelake.spark.tables.schemas import BEST_PASSAGE

# The end of the id of a document's first passage.
_FIRST = passage_id("", 0)


def kept_of(ranking: Ranking, *, passages: bool) -> Kept:
    """Return the rules of a run. passages: whether the vectors are of passages."""
    aggregate = aggregate_of(ranking.aggregate or DEFAULT) if passages else None
    return Kept(ranking.k, ranking.exclude_self, ranking.minimum_score, aggregate)


def check_rankings(
    options: RetrieveRun, rankings: Mapping[str, Ranking], *, passages: bool, place: str
) -> None:  # fmt: skip
    """Raise UsageError if a run asks for what its vectors do not have.

    - passages: whether the vectors are of passages.
    - place: their table.
    """
    for ranking in rankings.values():
        if ranking.aggregate is not None and not passages:
            raise UsageError(
                place,
                f"--aggregate {ranking.aggregate} needs vectors of passages, but these are vectors of whole texts",
                "wanted vectors of passages",
                "Leave out --aggregate, or encode with --passage-tokens under another name (--vectors).",
            )
        if ranking.aggregate == "none" and ranking.exclude_self:
            raise UsageError(
                "--exclude-self",
                "the option is given with --aggregate none",
                "wanted a ranking of documents, because the id of a query is never the id of a passage",
                "Leave out --exclude-self, or rank documents with --aggregate max.",
            )
    if passages and options.since_version is not None:
        raise UsageError(
            "--since-version",
            "the vectors are vectors of passages",
            "wanted vectors of whole texts, because a changed passage changes the score of its document",
            "Leave out --since-version, so that all passages are ranked.",
        )


def first_passages_only(rows: DataFrame, kept: Sequence[tuple[Kept, int]]) -> DataFrame:
    """Leave later passages out of the runs that score documents by their first one.

    - rows: (id, indices, values, groups).
    - kept: rules and group of each run.
    """
    mask = 0
    for rules, group in kept:
        if rules.first_only:
            mask |= group
    if not mask:
        return rows
    others = F.col("groups").bitwiseAND(F.lit(~mask))
    return rows.withColumn("groups", F.when(F.col("id").endswith(_FIRST), F.col("groups")).otherwise(others))


def side_by_side(rows: DataFrame) -> DataFrame:
    """Bring all passages of a document into one task, in order. The whole table is shuffled."""
    found = rows.withColumn("of_document", document_in("id")).repartition("of_document")
    return found.sortWithinPartitions("of_document", "id").drop("of_document")


def sorted_here(rows: pa.Table) -> pa.Table:
    """Return rows of the driver with all passages of a document side by side, in order."""
    document = documents(rows.column("id"), ID_SUFFIX)
    order = pc.sort_indices(
        pa.table({"of": document, "id": rows.column("id")}), [("of", "ascending"), ("id", "ascending")]
    )
    return rows.take(order)


def with_places(ranked: DataFrame, vectors: DataFrame, aggregate: Aggregate) -> DataFrame:
    """Return ranked rows with the place of the best passage in the text of its document.

    - ranked: (query_id, doc_id, rank, score, passage).
    - vectors: the vectors of the passages.
    """
    key = F.concat("doc_id", ending()) if aggregate.ranks_documents else F.col("doc_id")
    _, start, end = BEST_PASSAGE
    places = vectors.select(F.col("id").alias("key"), F.col("start").alias(start), F.col("end").alias(end))
    return ranked.withColumn("key", key).join(places, "key", "left").drop("key")
