"""The run log: one row for every run of a job in a lake, failed runs included."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake import __version__
from spladelake.config import JobOptions, Options, RankingOptions
from spladelake.errors import SpladelakeError
from spladelake.redaction import hider, without_secrets
from spladelake.spark.session.failures import known_error
from spladelake.spark.session.settings import all_settings
from spladelake.spark.tables.accesses import Accesses, noted
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.locks import retrying
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import RUN_LOG
from spladelake.spark.tables.write import save

log = logging.getLogger(__name__)

# Options that may differ between a job and the dry run that forecast it.
_SAME: dict[str, Any] = {"dry_run": True, "force": False, "run_id": None, "run_date": None, "ranking": None}

Run = Callable[..., dict[str, Any]]


def recorded(session: SparkSession, name: str, options: Options, job: Run) -> dict[str, Any]:
    """Run a job and write its row into the run log of its lake, whether the job succeeds or fails.

    A job without the option `lake` gets no row. If the row cannot be written, the job only logs a warning.
    """
    lake = getattr(options, "lake", None)
    if not isinstance(lake, str):
        return job(session, options)
    started, began = datetime.now(UTC), time.monotonic()
    with noted() as accesses:
        try:
            result = job(session, options)
        except BaseException as error:
            _write(session, lake, _row(session, name, options, started, began, accesses, {}, error))
            raise
    _write(session, lake, _row(session, name, options, started, began, accesses, result, None))
    return result


def run_id_of(name: str, options: Options, result: dict[str, Any]) -> str | None:
    """Return the name of an execution: from the options, the result, or job and day; None without a name."""
    if not isinstance(options, JobOptions):
        return None
    # Without --ranking, --run-id names the ranking too.
    own = options.run_id if isinstance(options, RankingOptions) and options.ranking else None
    given = own or result.get("run_id") or getattr(options, "target", None) or options.run_id
    return str(given) if given else options.dated(name) if options.run_date else None


def _row(
    session: SparkSession, name: str, options: Options, started: datetime, began: float, accesses: Accesses,
    result: dict[str, Any], error: BaseException | None,
) -> dict[str, Any]:  # fmt: skip
    hide = hider([*all_settings(session), *os.environ.items()])
    settings = json.dumps(without_secrets(options.model_dump(mode="json"), hide), sort_keys=True)
    parts = [part for part in result.values() if isinstance(part, dict) and "status" in part] or [result]
    seconds, rows = time.monotonic() - began, _sum(parts, "rows")
    forecast, forecast_error = _forecast(session, name, options, result, parts)
    warned = {message: count for part in parts for message, count in part.get("warnings", {}).items()}
    return {
        "job_id": uuid.uuid4().hex,
        "job": name,
        "run_id": run_id_of(name, options, result),
        "run_date": getattr(options, "run_date", None),
        "started": started,
        "seconds": round(seconds, 3),
        "status": "failed" if error is not None else str(result.get("status", "done")),
        "exit_code": exit_code_of(error),
        "error": None if error is None else hide(_message(error))[:1000],
        "config": settings,
        "config_sha256": _sha256(name, settings),
        "model_id": result.get("model_id"),
        "inputs": json.dumps({hide(table): version for table, version in accesses.read.items()}, sort_keys=True),
        "outputs": json.dumps({hide(table): version for table, version in accesses.written.items()}, sort_keys=True),
        "rows": rows,
        "rows_quarantined": _sum(parts, "rejected"),
        "docs_per_second": round(rows / seconds, 2) if rows and seconds else None,
        "forecast_seconds": forecast,
        "forecast_error": forecast_error,
        "warnings": json.dumps({hide(message): count for message, count in warned.items()}, sort_keys=True),
        "version": __version__,
    }


def _forecast(
    session: SparkSession, name: str, options: Options, result: dict[str, Any], parts: list[dict[str, Any]]
) -> tuple[float | None, float | None]:
    """Return the forecast seconds of a job and their relative error (forecast over real seconds, less 1).

    A dry run has a forecast and no error. A job gets the newest forecast of a dry run with the same options and the
    same number of rows. Both are None if there is no forecast.
    """
    seconds = sum(float(part.get("seconds") or 0) for part in parts)
    if result.get("status") == "forecast":
        return seconds, None
    if not hasattr(options, "dry_run") or result.get("status") != "written" or not seconds:
        return None, None
    target = Lake(str(getattr(options, "lake", ""))).table("run_log")
    if not target.exists(session):
        return None, None
    made = target.read(session).where((F.col("job") == name) & (F.col("status") == "forecast"))
    same = _sha256(name, json.dumps(_comparable(options), sort_keys=True))
    for row in made.orderBy(F.desc("started")).select("config", "rows", "forecast_seconds").limit(20).collect():
        config = {**json.loads(row["config"]), **_SAME}
        if _sha256(name, json.dumps(config, sort_keys=True)) == same and row["rows"] == _sum(parts, "rows"):
            said = float(row["forecast_seconds"])
            return said, round(said / seconds - 1, 3)
    return None, None


def _comparable(options: Options) -> dict[str, Any]:
    """Return the options with those in _SAME set to fixed values."""
    return {**options.model_dump(mode="json"), **_SAME}


def _sha256(name: str, settings: str) -> str:
    return hashlib.sha256(f"{name} {settings}".encode()).hexdigest()


def _sum(parts: list[dict[str, Any]], key: str) -> int:
    return sum(int(part.get(key) or 0) for part in parts)


def exit_code_of(error: BaseException | None) -> int:
    """Return the exit code of the command."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return getattr(error, "exit_code", 130)
    known = error if isinstance(error, SpladelakeError) else known_error(error)
    return known.exit_code if known is not None else 1


def _message(error: BaseException) -> str:
    known = error if isinstance(error, SpladelakeError) else known_error(error)
    if known is not None:
        return str(known)
    # The text of an unknown error may quote a row, so the log keeps only its type.
    return f"unexpected {type(error).__name__}"


def _write(session: SparkSession, lake: str, row: dict[str, Any]) -> None:
    try:
        target = Lake(lake).table("run_log")
        ensure_table(session, target, RUN_LOG)
        rows = frame_of(session, [row], RUN_LOG.struct)
        retrying(lambda: save(rows.write.format("delta").mode("append"), target), place=str(target))
    except Exception as error:
        said = "the run log has no entry for this run of %s, because the entry could not be written: %s"
        log.warning(said, row["job"], type(error).__name__)
