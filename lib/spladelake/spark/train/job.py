"""The training job: trains a model on a training set of the lake, in processes of Spark's TorchDistributor."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake import errors
from spladelake.config.training import Distillation, TrainModel
from spladelake.encoder import Checkpoint, resolve_checkpoint
from spladelake.errors import DataError, MachineError, SpladelakeError, UsageError
from spladelake.extras import require_extra
from spladelake.names import amount, example, shortened
from spladelake.results import TrainResult
from spladelake.spark.session.failures import known_error
from spladelake.spark.session.progress import progress
from spladelake.spark.session.start import usable_cores
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES
from spladelake.spark.tables.skeleton import Needed, newest_inputs
from spladelake.spark.tables.suggestions import made_by, mined_by, scored_by
from spladelake.spark.tables.training_schemas import PAIRS, PARTS, SCORED_PAIRS
from spladelake.spark.train.data import Sources, write_training_data
from spladelake.spark.train.model_folder import (
    COUNTS,
    MADE_FROM,
    made_from,
    publish_model,
    remove_published_work,
    shared_start,
    work_folder,
)
from spladelake.training import Outcome, TrainingWork, total_steps, train
from spladelake.training.processes import Sent, environment_of_processes
from spladelake.training.start import check_start

log = logging.getLogger(__name__)

# Options that do not change the trained model, so they are no part of its fingerprint.
NOT_PART = {"training_set", "output", "model", "log_steps", "gpu", "where", "accept_worse"}


def train_model(session: SparkSession, options: TrainModel) -> TrainResult:
    """Train a model on a training set of the lake and write the model folder.

    Raises UsageError for an unusable option or start model, DataError for unusable pairs or a model that got worse.
    """
    require_extra("train")
    output = Path(options.output).expanduser().absolute()
    start = _start(options.model, options.max_length)
    sources, lineage = sources_of(session, options, start)
    result: TrainResult = {"output": str(output), "model": options.model, "training_set": options.training_set}
    with exclusive(str(output), "training"):
        made = made_from(output)
        if output.exists() and made is None:
            raise UsageError(
                str(output), "the folder exists, but train_model did not write it",
                "wanted a new folder or a model of train_model", "Choose another --output.",
            )  # fmt: skip
        remove_published_work(output)
        if made is not None and made["fingerprint"] == lineage.fingerprint and not options.force:
            log.info("%s: skipped, because the model is up to date", output)
            return {**result, "status": "skipped", "model_id": resolve_checkpoint(str(output)).model_id}
        return cast("TrainResult", {**result, **_train(session, options, sources, lineage, start, output)})


def _train(
    session: SparkSession, options: TrainModel, sources: Sources, lineage: Lineage, start: Checkpoint, output: Path
) -> dict[str, Any]:
    """Write the training data unless an interrupted run left them, train, and publish the model folder."""
    started, clock = time.monotonic(), time.time()
    folder = work_folder(output, lineage, start=Path(start.folder), force=options.force)
    settings = Distillation(**{name: getattr(options, name) for name in Distillation.model_fields})
    start_folder = shared_start(start, folder) if options.where == "executors" else start.folder
    work = TrainingWork(
        folder, settings, start=start_folder, name=options.model, source=f"{sources.place}",
        processes=options.processes, gpu=options.gpu,
    )  # fmt: skip
    counts = _data(session, sources, work, options)
    steps = total_steps(settings, counts["pairs"], processes=options.processes)
    log.info("%s: training for %s steps on %s pairs", output, f"{steps:,}", f"{counts['pairs']:,}")
    with progress("train", total=steps, done=lambda: work.noted_step, unit="steps"):
        outcome = _run(session, work, options)
    if outcome.error is not None:
        raise _error(outcome.error)
    (work.model / MADE_FROM).write_text(
        json.dumps({**(made_from(folder) or {}), "outcome": asdict(outcome)}, indent=2), encoding="utf-8"
    )
    if outcome.resumed_from:
        log.info("%s: resumed from the checkpoint of step %d", output, outcome.resumed_from)
    publish_model(folder, output)
    _say(output, outcome, options.best)
    return {
        "status": "worse" if outcome.status == "worse" else "written",
        "model_id": resolve_checkpoint(str(output)).model_id,
        "rows": counts.pop("pairs"), **counts, "steps": outcome.steps, "resumed_from": outcome.resumed_from,
        "best_step": outcome.best_step, "collapsed_at_step": outcome.collapsed_at, "dev_measures": outcome.measures,
        "dev_measures_of_start": outcome.start_measures,
        "seconds_to_first_step": round(outcome.first_step - clock, 2) if outcome.first_step else None,
        "training_seconds": outcome.seconds, "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip


def _say(output: Path, outcome: Outcome, best: str) -> None:
    """Log the quality of a written model."""
    before, after = outcome.start_measures.get(best), outcome.measures.get(best)
    if after is not None:
        start = "" if before is None else f" (start model: {before:.4f})"
        log.info("%s: %s on the dev queries is %.4f%s at step %s", output, best, after, start, outcome.best_step)
    if outcome.status == "worse":
        log.warning("%s: the model is worse than the start model; it was written because of --accept-worse", output)
    if outcome.collapsed_at is not None:
        said = "%s: the model of step %d gave empty vectors, so the job took the checkpoint of step %s as the new model"
        log.warning(said, output, outcome.collapsed_at, outcome.best_step or outcome.steps)


def _start(model: str, max_length: int | None) -> Checkpoint:
    """Find and check the start model. An unusable model ends the job before it writes training data."""
    checkpoint = resolve_checkpoint(model)
    check_start(Path(checkpoint.folder), name=model, max_length=max_length)
    return checkpoint


def sources_of(session: SparkSession, options: TrainModel, start: Checkpoint) -> tuple[Sources, Lineage]:
    """Return the inputs of the training data, each table at one version, and the lineage of the model."""
    lake = Lake(options.lake)
    mined, parts = (lake.training(options.training_set, name) for name in ("pairs", "parts"))
    pairs = mined if options.loss == "ranking" else lake.training(options.training_set, "scored_pairs")
    maker = mined_by(lake, options.training_set)
    if options.loss != "ranking":
        maker = scored_by(lake, options.training_set)
    needed = {
        "pairs": Needed(pairs, PAIRS if options.loss == "ranking" else SCORED_PAIRS, maker),
        "queries": Needed(lake.table("queries"), QUERIES, made_by("ingest_texts", lake, queries="FILE")),
        "documents": Needed(lake.table("documents"), DOCUMENTS, made_by("ingest_texts", lake, documents="FILE")),
    }
    for ref, name, schema in ((parts, "parts", PARTS), (lake.table("judgements"), "judgements", JUDGEMENTS)):
        if not ref.exists(session):
            break  # Judgements are used only together with parts.
        needed[name] = Needed(ref, schema, mined_by(lake, options.training_set))
    at = (read := newest_inputs(session, needed)).rows
    made = (newest_lineage(session, mined) or {}).get("settings", {})
    dev: DataFrame | None = None
    if "parts" in at:
        _check_parts(at["pairs"], at["parts"], place=pairs)
        if "judgements" in at:
            dev = at["parts"].where(F.col("part") == "dev").select("query_id")
    if dev is None or dev.isEmpty():
        said = "%s: there is no dev query with judgements, so the job cannot compare checkpoints and keeps the last one"
        log.warning(said, parts)
        dev = None
    runs = lake.table("runs")
    run = runs.read(session).where(F.col("run_id") == made.get("run")) if runs.exists(session) else None
    inputs = read.lineage()
    # OPTIMIZE makes a new version with the same rows, so the lineage of these tables stands for their content.
    for name in {"pairs", "parts"} & inputs.keys():
        inputs[name][1] = (newest_lineage(session, read.refs[name]) or {}).get("fingerprint", read.versions[name])
    settings = options.settings(*NOT_PART)
    lineage = Lineage("train_model", {**inputs, "start": start.model_id}, settings)
    sources = Sources(
        at["pairs"], pairs, at["queries"], at["documents"], at.get("judgements"), dev, run,
        int(made.get("relevance_level", 1)),
    )  # fmt: skip
    return sources, lineage


def _check_parts(pairs: DataFrame, parts: DataFrame, *, place: TableRef) -> None:
    """Raise DataError if a query of the pairs is not in the part train: the parts changed after the pairs were made."""
    train = parts.where(F.col("part") == "train").select("query_id")
    other = pairs.select("query_id").distinct().join(train, "query_id", "left_anti")
    row = other.agg(F.count("*").alias("queries"), F.min("query_id").alias("first")).first()
    assert row is not None
    if row["queries"]:
        raise DataError(
            str(place),
            f"the pairs have {amount(row['queries'], 'query', 'queries')} outside the part 'train' "
            + example(row["queries"], repr(row["first"])),
            "wanted only queries of the part 'train'",
            "Run mine_pairs again, then score_pairs (not needed for --loss ranking).",
        )


def _data(session: SparkSession, sources: Sources, work: TrainingWork, options: TrainModel) -> dict[str, int]:
    """Write the training data completely or not at all, and return the counts."""
    counts_file = work.data / COUNTS
    if not counts_file.is_file():
        fresh = work.data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        describe(session, "write training data")
        counts = write_training_data(sources, fresh, options)
        describe(session)
        (fresh / counts_file.name).write_text(json.dumps(counts), encoding="utf-8")
        fresh.rename(work.data)
    found: dict[str, int] = json.loads(counts_file.read_text(encoding="utf-8"))
    return found


def _run(session: SparkSession, work: TrainingWork, options: TrainModel) -> Outcome:
    """Train in processes of TorchDistributor. Raises UsageError if Spark has too few slots or GPUs."""
    from pyspark.ml.torch.distributor import TorchDistributor

    local = options.where == "driver"
    # Processes on the driver's machine find its GPUs even if Spark does not know of them.
    given = "gpu" in session.sparkContext.resources if local else _task_gpus(session) > 0
    if not local and options.gpu == "yes" and not given:
        raise UsageError(
            "--gpu yes", "Spark gives its tasks no GPU", "wanted spark.task.resource.gpu.amount above 0",
            "Use the settings of conf/gpu.conf.",
        )  # fmt: skip
    slots = session.sparkContext.defaultParallelism
    if not local and options.processes > slots:
        raise UsageError(
            f"--processes {options.processes}", f"the executors have {amount(slots, 'task slot')}",
            "wanted a task slot for each process, because all processes run at the same time",
            f"Set --processes to {slots} or less, or give the job more executors or cores.",
        )  # fmt: skip
    distributor = TorchDistributor(
        num_processes=options.processes, local_mode=local, use_gpu=given and options.gpu != "no"
    )
    # TorchDistributor only warns if it starts fewer processes. The batch of each step would then be smaller.
    if distributor.num_processes != options.processes:
        raise UsageError(
            f"--processes {options.processes}", f"the driver has {amount(distributor.num_processes, 'GPU')}",
            "wanted a GPU for each process",
            "Set --processes to the number of GPUs, or give the driver more GPUs (spark.driver.resource.gpu.amount).",
        )  # fmt: skip
    try:
        # The output of the processes is for people. stdout holds only the result line that a scheduler reads.
        with redirect_stdout(sys.stderr), _environment(options.processes):
            outcome = distributor.run(Sent(train), work)
    except (RuntimeError, PySparkException, Py4JError) as error:
        if (known := known_error(error)) is not None:
            raise known from error
        said = last_line(str(error))
        reason = f" ({said})" if re.search(r"\w", said) else ""
        raise MachineError(
            "the training processes", f"the processes ended without a model{reason}", "wanted a trained model",
            "Find the cause in the output above, correct it, and run the same command again. It resumes from the last "
            "checkpoint.",
        ) from error  # fmt: skip
    assert isinstance(outcome, Outcome)
    return outcome


def last_line(text: str) -> str:
    """Return the last line of an error's text before the JVM's stack trace, at most 300 characters."""
    lines = [line.strip() for line in text.partition("JVM stacktrace:")[0].splitlines()]
    return shortened(next((line for line in reversed(lines) if line and not line.startswith("at ")), ""))


def _task_gpus(session: SparkSession) -> float:
    return float(session.sparkContext.getConf().get("spark.task.resource.gpu.amount", "0") or 0)


@contextmanager
def _environment(processes: int) -> Iterator[None]:
    """Set the environment variables of processes on the driver's machine, among them their share of the cores."""
    wanted = environment_of_processes()
    if processes > 1:
        wanted["OMP_NUM_THREADS"] = str(max(1, usable_cores() // processes))
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _error(found: dict[str, Any]) -> SpladelakeError:
    """Rebuild an error that a training process raised."""
    kind = getattr(errors, str(found["kind"]))
    error: SpladelakeError = kind(found["place"], found["found"], found["wanted"], found["fix"])
    return error
