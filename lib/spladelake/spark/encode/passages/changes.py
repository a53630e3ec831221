"""The passages that an update of vectors encodes, publishes and deletes: always all of a document, or none."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import EncodeTexts
from spladelake.errors import ConflictError
from spladelake.passages.settings import PassageSettings, settings_in_words
from spladelake.spark.encode.diff import Difference
from spladelake.spark.encode.passages.documents import of_document
from spladelake.spark.encode.passages.worker import SplitDocuments, SplitterSpec
from spladelake.spark.encode.side import SideJob
from spladelake.spark.encode.texts import BYTES_PER_TOKEN, is_rejected, limited
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import PASSAGE_TEXTS


def chosen_settings(
    session: SparkSession, lake: Lake, name: str, options: EncodeTexts
) -> PassageSettings | None:  # fmt: skip
    """Return how documents are split: as the vectors of this name were made, or as the options say if there are none.

    Raises ConflictError if both say something else.
    """
    target = lake.vectors(name, "documents")
    asked = options.passages
    if not target.exists(session):
        return asked
    found = PassageSettings.of_properties(table_properties(session, target))
    if asked is not None and asked != found:
        keep = (
            "leave out the passage options"
            if found is None
            else "leave out the passage options to keep those of the table"
        )
        raise ConflictError(
            str(target),
            f"the table holds vectors of {settings_in_words(found)}",
            f"wanted vectors of {settings_in_words(asked)}",
            f"Give the new vectors a name of their own with --vectors, or {keep}.",
        )
    return found


def passages_of(job: SideJob, documents: DataFrame) -> DataFrame:
    """Return PASSAGE_TEXTS rows of documents (id, title, text, text_sha256, repaired, reason)."""
    assert job.passages is not None
    columns = documents.select("id", "title", "text", "text_sha256", "repaired", "reason")
    split = SplitDocuments(SplitterSpec(job.model, job.passages))
    return map_arrow(columns, split, PASSAGE_TEXTS.struct)


def passage_changes(job: SideJob, documents: Difference, seen: int | None, until: ExitStack) -> Difference:
    """Return the difference between the passages of changed documents and their vectors.

    The executors keep the passages on disk, because every chunk reads them.

    - documents: the difference between documents and the vectors at version `seen`.
    """
    session, settings = job.session, job.passages
    assert settings is not None
    changed, count = documents.changed, 0
    if documents.count:
        describe(session, "split documents")
        changed = kept_on_disk(passages_of(job, limited(changed, job.options.max_text_bytes)), until)
        count = changed.count()
        describe(session)
    unwanted = documents.unwanted
    if unwanted is not None:
        have = job.target.read(session, version=seen).withColumn("of", of_document())
        unwanted = have.join(unwanted.select(F.col("id").alias("of")), "of", "left_semi").select("id")
    size = min(documents.mean_bytes, settings.tokens * BYTES_PER_TOKEN)
    return replace(
        documents,
        rows=documents.kept + count,
        new=count,
        # A changed document may have fewer passages than it had.
        gone=documents.gone + documents.count - documents.new,
        mean_bytes=size,
        changed=changed,
        unwanted=unwanted,
    )


def failed_documents(staged: DataFrame) -> DataFrame:
    """Return (doc_id) of the documents of which a passage cannot be encoded."""
    return staged.where(is_rejected()).select("doc_id").distinct()


def whole_documents(staged: DataFrame) -> DataFrame:
    """Return the rows of documents of which every passage was encoded."""
    return staged.join(failed_documents(staged), "doc_id", "left_anti")


def delete_failed(job: SideJob) -> None:
    """Delete the staged passages of documents of which one cannot be encoded."""
    failed = failed_documents(job.staged.read(job.session))
    merge = job.staged.delta(job.session).alias("old").merge(failed.alias("new"), "old.doc_id = new.doc_id")
    with exclusive(str(job.staged)):
        merge.whenMatchedDelete().execute()
