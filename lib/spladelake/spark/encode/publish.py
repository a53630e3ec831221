"""The one commit that publishes staged vectors: readers see either the old rows or the new ones."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.spark.encode.chunks import Staged
from spladelake.spark.encode.diff import DELETED, Difference, mark_current, merge_rows
from spladelake.spark.encode.passages.changes import delete_failed, whole_documents
from spladelake.spark.encode.side import SideJob
from spladelake.spark.encode.texts import is_rejected
from spladelake.spark.tables import storage
from spladelake.spark.tables.accesses import note_written
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.locks import TargetChangedError, exclusive
from spladelake.spark.tables.write import replace_rows


def publish(
    job: SideJob, changes: Difference, staged: Staged | None, lineage: Lineage, *, version: int, rejected: int
) -> None:
    """Publish the staged vectors, and delete vectors without a current text.

    - version: version of the texts.
    - rejected: number of staged rows without a vector.
    """
    session, target = job.session, job.target
    if staged is not None and staged.is_table and target.path and storage.can_take_name(session, target.path):
        _rename(job, lineage, version=version, rejected=rejected)
        return
    ready = None if staged is None else _encoded(job, staged, rejected).select(*job.schema.column_names)
    if changes.unwanted is None or not (changes.kept or changes.partial):
        rows = ready if ready is not None else frame_of(session, [], job.schema.struct)
        replace_rows(session, target, job.schema, rows, lineage=lineage, properties=job.properties(version))
        return
    upserts = None if ready is None or changes.count == rejected else ready.withColumn(DELETED, F.lit(False))
    removals = _removals(job, changes, ready) if changes.gone or rejected else None
    parts = [part for part in (upserts, removals) if part is not None]
    if not parts:
        note_written(str(target), mark_current(session, target, job.properties(version), lineage=lineage))
        return
    both = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    merge_rows(session, target, job.schema, both, key=("id",), inserts=changes.new > 0, lineage=lineage)


def _rename(job: SideJob, lineage: Lineage, *, version: int, rejected: int) -> None:
    """Rename the staging table to the vectors' table, which does not exist yet: no row is written twice."""
    session, staged, target = job.session, job.staged, job.target
    assert staged.path is not None
    assert target.path is not None
    if rejected and job.passages is not None:
        delete_failed(job)
    elif rejected:
        with exclusive(str(staged)):
            staged.delta(session).delete(is_rejected())
    made = mark_current(session, staged, {"table": job.schema.name, **job.properties(version)}, lineage=lineage)
    if not storage.rename(session, staged.path, target.path):
        raise TargetChangedError(str(target))
    note_written(str(target), made)


def _encoded(job: SideJob, staged: Staged, rejected: int) -> DataFrame:
    """Return the rows to publish: of documents, only if every passage was encoded."""
    if job.passages is not None and rejected:
        return whole_documents(staged.rows)
    return staged.rows.where(~is_rejected())


def _removals(job: SideJob, changes: Difference, ready: DataFrame | None) -> DataFrame:
    """Return one row of `merge_rows` for each vector to delete: its id, nulls and `_deleted`."""
    assert changes.unwanted is not None
    ids = changes.unwanted if ready is None else changes.unwanted.join(ready.select("id"), "id", "left_anti")
    empty = {f.name: F.lit(None).cast(f.dataType) for f in job.schema.struct.fields if f.name != "id"}
    return ids.select("id", *(value.alias(name) for name, value in empty.items()), F.lit(True).alias(DELETED))
