"""`spladelake doctor`: check that this machine can run the jobs; each check prints one line with its fix."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from spladelake.commands.options import styled
from spladelake.errors import MachineError, SpladelakeError
from spladelake.extras import explained_import
from spladelake.machine import free_memory
from spladelake.names import amount

# Memory of a worker: the interpreter with torch (0.5 GB), and a BERT base model with one batch (0.5 GB).
WORKER_MB = 1024


@click.command()
@click.option("--model", default=None, help="Model to check (default: splade-tiny), such as rasyosef/splade-mini.")
@click.option("--query-model", default=None, help="Model of queries to check beside --model, if it is another model.")
@click.option("--lake", default=".", show_default=True, help="Lake whose folder or store to check for access.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def doctor(model: str | None, query_model: str | None, lake: str, debug: bool) -> None:
    """Check this machine: Java, Delta jars, interpreters, model, write access and memory.

    For a lake in a remote store, such as s3a://bucket/lake, the command tries a write, a listing and a conditional
    write there, one line each.

    The command exits with 5 if a check fails.
    """
    if not examine(model=model, query_model=query_model, lake=lake):
        raise SystemExit(5)


def examine(*, model: str | None, lake: str, query_model: str | None = None) -> bool:
    """Run all checks and print one line for each, with the fix if it fails; return whether all passed."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("java", _java),
        ("versions", _versions),
        ("delta jars", _jars),
        ("memory", _memory),
    ]
    remote = "://" in lake and not lake.startswith("file:")
    if not remote:
        checks.append(("write access", lambda: _write_access(lake)))
    passed = [_line(name, check) for name, check in checks]
    # The session starts while the model's files are read, after the checks of jars (it needs them) and free memory.
    with ThreadPoolExecutor(1) as pool:
        session = pool.submit(_session)
        checked = _line("model", lambda: _model(model or "splade-tiny", query_model))
        passed += [checked, _line("spark session", session.result)]
    if remote and passed[-1]:
        passed += store_lines(lake)
    return all(passed)


def store_lines(lake: str) -> Iterator[bool]:
    """Check the store of a remote lake in the running session: print a line for each check; yield whether it passed."""
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.session.store_trial import trials
    from spladelake.spark.session.stores import check_store

    session = spark_session("spladelake doctor")

    def answers() -> str:
        check_store(session, lake)
        return f"{lake} answers"

    is_there = _line("store", answers)
    yield is_there
    if is_there:
        yield from (_line(name, trial) for name, trial in trials(session, lake))


def _line(name: str, check: Callable[[], str]) -> bool:
    try:
        finding, ok = check(), True
    except SpladelakeError as error:
        finding, ok = str(error), False
    except Exception as error:
        message = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        finding, ok = str(explained_import(error) or message), False
    mark = styled("ok  ", fg="green") if ok else styled("FIX ", fg="red", bold=True)
    click.echo(f"{mark} {name}: {finding}")
    return ok


def _python() -> str:
    return f"{platform.python_version()} at {sys.executable}"


def _java() -> str:
    from spladelake.spark.session.start import java_version

    java, major = java_version()
    return f"{major} at {java}"


def _versions() -> str:
    """Name the pair of pyspark and Delta."""
    from spladelake.spark.session.delta_classes import package_version
    from spladelake.spark.session.jars import DELTA_VERSION, digests, pyspark_version
    from spladelake.spark_versions import DELTA_FOR, check_package, release

    spark, package = pyspark_version(), package_version()
    check_package(package, spark)
    jar = next(iter(digests(spark)))
    finding = f"pyspark {spark} with Delta {DELTA_VERSION} ({jar}"
    return f"{finding}{f', delta-spark {package}' if package else ''}); it fits {DELTA_FOR[release(spark)]}"


def _jars() -> str:
    from spladelake.spark.session.jars import delta_jars

    jars = delta_jars()
    return f"{', '.join(jar.name for jar in jars)} in {jars[0].parent}"


def _memory() -> str:
    from spladelake.spark.session.start import local_driver_memory_mb, usable_cores

    heap, cores = local_driver_memory_mb(), usable_cores()
    free = free_memory()
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if free is None else free
    needed, available = heap + cores * WORKER_MB, free // 2**20
    use = f"for {heap:,} MB of heap and the {amount(cores, 'Python worker')} of a local session"
    if available < needed:
        raise MachineError(
            "memory",
            f"{available:,} MB are free",
            f"wanted {needed:,} MB, {use}",
            "Close other programs, or run the jobs with one worker and a smaller heap: "
            "--conf spark.master='local[1]' --conf spark.driver.memory=1g.",
        )
    return f"{available:,} MB are free; wanted {needed:,} MB, {use}"


def _write_access(lake: str) -> str:
    folder = Path(lake).expanduser().absolute()
    # The lake may not exist yet: its nearest existing parent must be writable.
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError as error:
        raise MachineError(
            str(folder),
            f"the folder is not writable ({error.strerror})",
            "wanted a writable folder for the lake",
            "Choose another folder with --lake, or make this folder writable.",
        ) from error


def _model(model: str, query_model: str | None) -> str:
    from spladelake.encoder import resolve_pair

    checkpoint = resolve_pair(model, query_model)
    parts = [f"{model}, {checkpoint.architecture}, {checkpoint.vocabulary_size:,} dimensions"]
    parts += [f"{checkpoint.max_length} tokens, model_id {checkpoint.model_id[:12]}"]
    parts += [f"files verified in {checkpoint.folder}"]
    if (queries := checkpoint.queries) is not None:
        parts += [f"queries by {queries.name}, {queries.architecture}, {queries.max_length} tokens"]
    return ", ".join(parts)


def _session() -> str:
    """Start Spark, write and read a Delta table, and check the interpreter of a worker."""
    from spladelake.spark.session.arrow_functions import map_arrow
    from spladelake.spark.session.start import spark_session

    session = spark_session("spladelake doctor", settings={"spark.master": "local[1]"}, quick=True)
    with tempfile.TemporaryDirectory(prefix="spladelake-doctor-") as folder:
        session.range(1).write.format("delta").save(f"{folder}/table")
        rows = session.read.format("delta").load(f"{folder}/table")
        found = map_arrow(rows, _who, "python string, missing string").first()
    assert found is not None
    if found["missing"]:
        raise MachineError(
            f"worker interpreter {found['python']}",
            f"the interpreter cannot import {found['missing']}",
            f"wanted an interpreter with the same packages as the driver's interpreter ({sys.executable})",
            f"Set PYSPARK_PYTHON={sys.executable}, or install {found['missing']} for {found['python']}.",
        )
    return f"Spark {session.version} wrote and read Delta; driver {sys.executable}, worker {found['python']}"


def _who(batches: Any) -> Any:
    """Yield the worker's interpreter and the first package that it lacks, for each row. Runs in a worker."""
    import importlib.util

    import pyarrow as pa

    needed = ("torch", "transformers", "numpy", "spladelake")
    missing = next((name for name in needed if importlib.util.find_spec(name) is None), "")
    for batch in batches:
        rows = batch.num_rows
        yield pa.RecordBatch.from_pydict({"python": [sys.executable] * rows, "missing": [missing] * rows})
