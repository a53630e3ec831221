"""The ids that a ranking lists: those of the rows of a DataFrame, or of the documents whose passages the rows are."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegralType

from spladelake.config import Ranking
from spladelake.errors import UsageError
from spladelake.functions.columns import Id, found_column, id_column
from spladelake.passages.ids import MOST_PASSAGES
from spladelake.spark.encode.passages.ids import ending
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.passages import first_passages_only, kept_of, side_by_side

PASSAGE = "passage"


@dataclass(frozen=True)
class RankedIds:
    """The ids that a ranking lists.

    - ids: the column of ids; of passages, it names their documents.
    - kept: the rules of the ranking.
    """

    ids: Id
    kept: Kept

    @property
    def key(self) -> Column:
        """The id of each row as text. It is null if the number of a passage cannot be one."""
        if self.kept.aggregate is None:
            return self.ids.text
        can_be = F.col(PASSAGE).between(0, MOST_PASSAGES - 1)
        return F.when(can_be, F.concat(self.ids.text, ending()))

    @property
    def columns(self) -> list[Column]:
        """The columns of the result besides query_id, from the columns of RANKED."""
        how = self.kept.aggregate
        kind = "string" if how is not None and not how.ranks_documents else self.ids.type
        others = (F.col(name) for name in ("rank", "score", *self.passage_columns))
        return [F.col("doc_id").cast(kind).alias("doc_id"), *others]

    @property
    def passage_columns(self) -> list[str]:
        """The columns that say which row of a document was the best."""
        return [] if self.kept.aggregate is None else [PASSAGE]

    @property
    def key_of_result(self) -> Column:
        """The id, as `key` has it, of each row of a result."""
        how = self.kept.aggregate
        return F.concat("doc_id", ending()) if how is not None and how.ranks_documents else F.col("doc_id")

    def chosen(self, rows: DataFrame) -> DataFrame:
        """Return the rows that count, with the column `groups`, in the order that the ranking needs.

        - rows: with the column `id`, the key.
        """
        found = rows.withColumn("groups", F.lit(1))
        if self.kept.first_only:
            found = first_passages_only(found, [(self.kept, 1)]).where("groups > 0")
        return side_by_side(found) if self.kept.adds_up else found


def ranked_ids_of(documents: DataFrame, document_id: str | None, ranking: Ranking) -> RankedIds:
    """Return the ids that a ranking of these documents lists.

    The rows are passages if an aggregate is given, or if they have the columns of sl.passages and no other ids are
    named. Raises UsageError for columns that are missing or of another type.
    """
    fix = "Name a column of ids with document_id=."
    own = id_column(documents, document_id, kind="documents", column="doc_id", place="documents", fix=fix)
    if ranking.aggregate is not None:
        _check_passages(documents)
        if ranking.aggregate == "none" and ranking.exclude_self:
            raise UsageError(
                "retrieve, exclude_self",
                'the argument is given with aggregate="none"',
                "wanted a ranking of documents, because exclude_self compares ids of queries with ids of documents",
                'Leave out exclude_self, or rank documents with aggregate="max".',
            )
    passages = ranking.aggregate is not None or (document_id is None and _are_passages(documents, own))
    return RankedIds(own, kept_of(ranking, passages=passages))


def _are_passages(documents: DataFrame, own: Id) -> bool:
    numbers = [PASSAGE, "start", "end"]
    of = {field.name: field.dataType for field in documents.schema.fields}
    return own.name == "doc_id" and all(isinstance(of.get(name), IntegralType) for name in numbers)


def _check_passages(documents: DataFrame) -> None:
    fix = "Give a DataFrame that sl.passages made, or leave out aggregate."
    if PASSAGE not in documents.columns:
        found, wanted = f"the DataFrame has no column {PASSAGE!r}", "wanted a DataFrame of passages for aggregate"
        raise UsageError("documents", found, wanted, fix)
    found_column(documents, PASSAGE, kind="documents", column="doc_id", place="documents", fix=fix)
    kind = documents.schema[PASSAGE].dataType
    if not isinstance(kind, IntegralType):
        raise UsageError(
            f"documents, column {PASSAGE!r}",
            f"the type is {kind.simpleString()}",
            "wanted the number of the passage in its document, an integer from 0",
            fix,
        )
