"""Suggestions for a missing table or run: the most similar name in the lake, and the command that makes it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.names import closest, suggestion
from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import Lake, TableRef

MOST_RUNS = 1_000


@dataclass(frozen=True)
class Maker:
    """How a table comes into being.

    - command: the command that makes it.
    - options: the options that may name another lake or table than the user meant.
    - others: other jobs that make it.
    """

    command: str
    options: str = "--lake"
    others: str = ""

    def fix(self, near: str | None) -> str:
        """Return the fix for a missing table. near: a similar path with a table, None if there is none."""
        others = f"{self.others} or " if self.others else ""
        make = f"make the table first with {others}this command: {self.command}"
        return f"Correct {self.options}, or {make}" if near is None else f"Did you mean {near}? If not, {make}"


def made_by(job: str, lake: Lake, **options: str | None) -> Maker:
    """Return the maker of a table: a job with its options, of which those that are None are left out."""
    return Maker(_command(job, lake, options))


def encoded_by(lake: Lake, *, model: str, vectors: str | None) -> Maker:
    """Return the maker of the tables of vectors. vectors: the name that the user gave, None if there is none."""
    command = _command("encode_texts", lake, {"model": model, "vectors": vectors})
    if vectors is None:
        return Maker(command, "--lake or --model")
    return Maker(command, "--lake or --vectors", "import_vectors")


def named_by(lake: Lake, name: str, *, option: str) -> Maker:
    """Return the maker of the tables of vectors that an option names."""
    command = _command("encode_texts", lake, {"model": "MODEL", "vectors": name})
    return Maker(command, f"--lake or {option}", "import_vectors")


def mined_by(lake: Lake, name: str, *, option: str = "--training-set") -> Maker:
    """Return the maker of the tables of a training set. option: the option that names the set."""
    return Maker(_command("mine_pairs", lake, {"run": "RUN", "training_set": name}), f"--lake or {option}")


def scored_by(lake: Lake, name: str) -> Maker:
    """Return the maker of the scored pairs of a training set."""
    return Maker(_command("score_pairs", lake, {"training_set": name}), "--lake or --training-set")


def _command(job: str, lake: Lake, options: dict[str, str | None]) -> str:
    words = ["spladelake", job, "--lake", lake.root]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", value]
    return shlex.join(words)


def similar_path(session: SparkSession, path: str) -> str | None:
    """Return an existing path that differs from the given one only in its first missing part; None if there is none."""
    root, rest = re.fullmatch(r"([\w+.-]+://[^/]*)?(.*)", path, re.DOTALL).groups("")  # type: ignore[union-attr]
    parts = rest.strip("/").split("/")
    try:
        for at, part in enumerate(parts):
            above = "/".join([root, *parts[:at]])
            if not storage.exists(session, f"{above}/{part}"):
                near = closest(part, storage.children(session, above))
                found = "/".join([above, near or "", *parts[at + 1 :]])
                return found if near and storage.exists(session, found) else None
    except Py4JJavaError:
        pass  # The folder may not be listed: the error is then shown without a suggestion.
    return None


def missing_run(session: SparkSession, table: TableRef, run_id: str, *, fix: str) -> DataError:
    """Return the error for a run that a table of runs or measures lacks, with the most similar run."""
    rows = table.read(session).select("run_id").distinct().orderBy("run_id").limit(MOST_RUNS).collect()
    if not rows:
        return DataError(
            str(table), "the table is empty", f"wanted the run {run_id!r}", "Make the run first, or correct --lake."
        )
    known = suggestion(run_id, [row["run_id"] for row in rows])
    return DataError(str(table), f"the table has no run {run_id!r}", known, fix)
