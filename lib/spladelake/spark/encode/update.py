"""One side of an encode: find the texts that changed since the last run, encode them, publish them in one commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import DataError, UsageError
from spladelake.spark.encode.change_feed import changed_ids, checkpoint_of, collect_changes
from spladelake.spark.encode.chunks import EncodeWork, Staged, stage
from spladelake.spark.encode.diff import Difference, difference
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.passages.changes import passage_changes
from spladelake.spark.encode.passages.documents import documents_in, documents_of
from spladelake.spark.encode.publish import publish
from spladelake.spark.encode.side import SideJob
from spladelake.spark.encode.texts import BYTES_PER_TOKEN, ChunkSize, first_rate, is_rejected, limited
from spladelake.spark.encode.worker import REJECTED, WARNING
from spladelake.spark.tables.create import drop_table
from spladelake.spark.tables.driver_rows import row_count
from spladelake.spark.tables.lineage import Lineage, is_current, newest_lineage
from spladelake.spark.tables.locks import TargetChangedError, exclusive
from spladelake.spark.tables.properties import set_properties
from spladelake.spark.tables.quarantine import quarantined_ids, replace_quarantine

log = logging.getLogger(__name__)


def update_vectors(job: SideJob, *, ready: Callable[[], object]) -> dict[str, Any]:
    """Bring the vectors up to the newest version of the texts; return a report.

    - ready: waits for the work that must end before the vectors are published.

    Raises TargetChangedError if another writer commits first: the caller must then plan the work again.
    """
    session, target = job.session, job.target
    version = job.source.version(session)
    lineage = job.lineage(version)
    again = job.options.force or job.options.retry_rejected
    if not again and is_current(session, target, lineage):
        log.info("%s: skipped, because the vectors are up to date", target)
        # Repeat the last steps: a run that was killed after its commit may have left them out.
        set_properties(session, target, job.properties(version))
        drop_table(session, job.staged)
        return {"status": "skipped", "table": str(target)}
    started = time.monotonic()
    seen = target.version(session) if target.exists(session) else None
    changes = _changes(job, version, seen)
    with ExitStack() as until:
        # The same as the changes, if each text has one vector.
        work = changes if job.passages is None else passage_changes(job, changes, seen, until)
        staged = stage(session, job.staged, _work(job, work)) if work.count else None
        totals = {} if staged is None else dict(staged.totals)
        failed = int(totals.get("rejected", 0))
        rejected = _quarantine(job, changes, staged, lineage, failed=failed)
        ready()
        if seen is not None and target.version(session) != seen:
            raise TargetChangedError(str(target))
        publish(job, work, staged, lineage, version=version, rejected=failed)
    set_properties(session, target, job.properties(version))
    texts = job.table.count(session, version=version) if changes.partial else changes.rows
    _check_complete(job, texts - rejected)
    drop_table(session, job.staged)
    _forget_changed(job, version)
    counts: dict[str, Any] = {"kept": changes.kept, "deleted": changes.gone, "rejected": rejected}
    if job.passages is not None:
        counts |= {"documents": changes.count, "passages": str(job.passages)}
    return {"status": "written", "table": str(target), **encode_report(totals, time.monotonic() - started), **counts}


def _work(job: SideJob, changes: Difference) -> EncodeWork:
    options = job.options
    rate = first_rate(job.model, tokens=2 + changes.mean_bytes / BYTES_PER_TOKEN)
    return EncodeWork(
        changes.changed if job.passages is not None else limited(changes.changed, options.max_text_bytes),
        changes.count,
        job.target,
        job.side,
        WorkerSpec(job.model, options.token_budget),
        ChunkSize(options.chunk_minutes, rate, options.chunk_rows),
        options.rows_per_task,
        f"{'forced' if options.force else 'changed'}{'' if job.passages is None else f', {job.passages}'}",
    )


def _changes(job: SideJob, version: int, seen: int | None) -> Difference:
    """Compare texts with vectors: all of them, or only the ids that the change feed names."""
    model_id, table = job.checkpoint.model_id, job.table
    rows = table.read(job.session, version=version)
    texts = table.texts(rows) if job.passages is None else documents_of(table.parts(rows))
    vectors = None if seen is None or job.options.force else job.target.read(job.session, version=seen)
    if vectors is not None and job.passages is not None:
        vectors = documents_in(vectors)
    if vectors is not None and (ids := _possibly_changed(job, version)) is not None:
        # A text without an id has a null among the ids, and must not be lost.
        ids = ids.withColumnRenamed("id", "changed_id")
        same = F.col("id").eqNullSafe(F.col("changed_id"))
        near, have = (rows.join(ids, same, "left_semi") for rows in (texts, vectors))
        found = difference(near, have, model_id=model_id, check_ids=table.check_ids)
        if found.unwanted is not None:
            return replace(found, partial=True)
    return difference(texts, vectors, model_id=model_id, check_ids=table.check_ids)


def _possibly_changed(job: SideJob, version: int) -> DataFrame | None:
    """Return (id) of all texts that may have changed since the vectors were made; None if all must be compared."""
    options, session = job.options, job.session
    if options.changes == "snapshot":
        return None
    made = newest_lineage(session, job.target)
    planned = job.lineage(0)
    read = (made or {}).get("inputs", {}).get(job.side.name, [None])
    if made is None or made["settings"] != dict(planned.settings) or read[0] != str(job.source):
        log.info(
            "%s: the model, the table or an option has changed, so the job compares all texts, not only the changes",
            job.target,
        )
        return None
    after = int(read[1])
    if options.changes == "stream":
        checkpoint, changed = checkpoint_of(options.checkpoint, job.staged), job.lake.changed(job.name, job.side.name)
        collect_changes(session, job.source, changed, after=after, checkpoint=checkpoint, id_of=job.table.ids)
        ids = changed.read(session, version=changed.version(session)).select("id")
    else:
        if options.since_version is not None and options.since_version > after:
            raise UsageError(
                "--since-version",
                f"the version is {options.since_version}",
                f"wanted at most {after}, because the vectors were made from version {after} of {job.source} and a "
                "later start would miss changes",
                f"Give {after} or an earlier version, or leave out --since-version.",
            )
        start = after if options.since_version is None else options.since_version
        ids = changed_ids(session, job.source, after=start, until=version, id_of=job.table.ids)
    return ids.unionByName(quarantined_ids(session, job.lake, job.label)).distinct()


def _forget_changed(job: SideJob, version: int) -> None:
    """Delete the changes that the stream noted up to a version, because the vectors follow it now."""
    changed = job.lake.changed(job.name, job.side.name)
    if changed.exists(job.session):
        with exclusive(str(changed)):
            changed.delta(job.session).delete(F.col("version") <= version)


def _quarantine(job: SideJob, changes: Difference, staged: Staged | None, lineage: Lineage, *, failed: int) -> int:
    """Put the texts that cannot be encoded into quarantine and return their number.

    - changes: of the texts, which are whole documents if the vectors are of passages.
    - failed: number of staged rows that have no vector.

    Raises DataError if there are too many.
    """
    session, rows, rejected = job.session, None, failed
    if staged is not None and failed:
        faults = _faults(job, staged)
        rejected = failed if job.passages is None else faults.count()
        rows = changes.changed.select("id", "text").join(faults, "id")
    given = {**job.options.settings(), "lake": job.options.lake, "side": job.side.name, "retry_rejected": True}
    made = replace(lineage, retry={"input": job.label, "options": given})
    examples = replace_quarantine(session, job.lake, rows, job.label, str(job.source), lineage=made)
    texts = job.table.read(session).count() if rejected else 0
    most = job.options.max_rejected * texts
    if rejected > most:
        raise DataError(
            str(job.source),
            f"{rejected:,} of {texts:,} texts cannot be encoded",
            f"wanted at most {int(most):,}, because --max-rejected is {job.options.max_rejected:g}",
            f"Correct the texts that `spladelake quarantine show --lake {job.lake.root}` lists, or raise "
            f"--max-rejected or --max-text-bytes. The vectors are unchanged. Examples: {' | '.join(examples)}",
        )
    return rejected


def _faults(job: SideJob, staged: Staged) -> DataFrame:
    """Return (id, reason) of each text that cannot be encoded: of a document, the reason of its first such passage."""
    reason = F.expr(f"substring(status, {len(REJECTED) + 1})")
    rejected = staged.rows.where(is_rejected())
    if job.passages is None:
        return rejected.select("id", reason.alias("reason"))
    place = F.format_string("passage %d, characters %d to %d: ", "passage", "start", "end")
    said = F.when(F.col("end") > F.col("start"), F.concat(place, reason)).otherwise(reason)
    return rejected.groupBy(F.col("doc_id").alias("id")).agg(F.min_by(said, "passage").alias("reason"))


def _check_complete(job: SideJob, wanted: int) -> None:
    """Raise DataError unless every text has one vector or a row in quarantine.

    - wanted: number of texts that are not in quarantine.
    """
    written = row_count(job.session, job.target)
    if job.passages is not None:
        counted = job.target.read(job.session).agg(F.count_distinct("doc_id").alias("documents")).first()
        written = 0 if counted is None else int(counted["documents"])
    if written != wanted:
        held = f"{written:,} vectors of {job.side.name}", f"{wanted:,}, one for each {job.side.kind}"
        if job.passages is not None:
            held = f"passages of {written:,} documents", f"passages of {wanted:,} documents"
        raise DataError(
            str(job.target),
            f"the table holds {held[0]}",
            f"wanted {held[1]}",
            "Run the job again with --force. If the error repeats, report the error with the history of the table.",
        )


def encode_report(totals: dict[str, float], seconds: float) -> dict[str, Any]:
    """Return the counts and rates of an encode, from the totals of its tasks."""
    texts, padded = totals.get("texts", 0), totals.get("padded_tokens", 0)
    statuses = {k.removeprefix("status_"): int(v) for k, v in sorted(totals.items()) if k.startswith("status_")}
    return {
        "rows": int(texts),
        "distinct_texts": int(totals.get("distinct_texts", 0)),
        "seconds": round(seconds, 2),
        "docs_per_second": round(texts / seconds, 1) if seconds else 0.0,
        "tokens_per_second": round(totals.get("tokens", 0) / seconds, 1) if seconds else 0.0,
        "padding_waste": round(1 - totals.get("tokens", 0) / padded, 4) if padded else 0.0,
        "active_dims": round(totals.get("active_dims", 0) / texts, 2) if texts else 0.0,
        "truncated": int(totals.get("truncated", 0)),
        "model_loads": int(totals.get("model_loads", 0)),
        "statuses": statuses,
        "warnings": {k.removeprefix(WARNING): int(v) for k, v in totals.items() if k.startswith(WARNING)},
        "resumed": int(totals.get("resumed", 0)),
    }
