"""Read a data set of ir_datasets: write its records as a BEIR folder, which is then an ordinary input."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spladelake.errors import DataError, UsageError
from spladelake.extras import require_extra
from spladelake.machine import CANNOT_STORE
from spladelake.names import listed, shortened
from spladelake.spark.ingest.shared_files import shared
from spladelake.spark.ingest.source import Source
from spladelake.spark.tables.refs import Lake


@dataclass(frozen=True)
class NamedDataset:
    """A data set that ir_datasets knows, before anything is downloaded."""

    dataset_id: str
    dataset: Any
    version: str

    @property
    def label(self) -> str:
        return f"ir_datasets:{self.dataset_id}"

    def sources(self, folder: str) -> list[Source]:
        """Return the inputs of the data set in a folder that `stage` wrote."""
        files = [("documents", "corpus.jsonl", "jsonl"), ("queries", "queries.jsonl", "jsonl")]
        if self.dataset.has_qrels():
            files.append(("judgements", "qrels/test.tsv", "qrels"))
        return [Source(kind, f"{folder}/{name}", form, label=f"{self.label}/{name}") for kind, name, form in files]


def named_dataset(dataset_id: str) -> NamedDataset:
    """Find a data set by its id.

    Raises UsageError if the id, its documents or its queries are missing, MachineError if ir_datasets is not installed.
    """
    place = f"ir_datasets:{dataset_id}"
    require_extra("data")
    import ir_datasets

    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError as error:
        raise UsageError(
            place,
            "ir_datasets does not know this id",
            "wanted an id such as beir/scifact/test",
            "Look up the id on https://ir-datasets.com.",
        ) from error
    missing = [name for name, has in (("documents", dataset.has_docs()), ("queries", dataset.has_queries())) if not has]
    if missing:
        raise UsageError(
            place,
            f"the data set has no {listed(missing)}",
            "wanted a data set with documents and queries",
            "Use the id of one of its subsets, such as a split.",
        )
    return NamedDataset(dataset_id, dataset, ir_datasets.__version__)


def write_beir_folder(session: SparkSession, named: NamedDataset, lake: Lake, cleanup: ExitStack) -> str:
    """Write the records of a data set into a BEIR folder that executors can read. Return the folder.

    `cleanup` removes the folder. Raises DataError if the data cannot be read.
    """
    local = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="spladelake-")))
    try:
        _write(named.dataset, local)
    except (OSError, RuntimeError) as error:
        raise _unreadable(named.label, error) from error
    return shared(session, local, lake, cleanup)


def _unreadable(label: str, error: OSError | RuntimeError) -> DataError:
    """Return the error for records that cannot be read: a file to get by hand, a full or read-only disk, the network.

    - label: the data set.
    """
    reason = shortened(" ".join(str(error).split()), 200)
    if isinstance(error, FileNotFoundError):
        found = f"ir_datasets cannot download all files of this data set ({reason})"
        fix = "Get the missing file as the page of the data set on https://ir-datasets.com describes, and put it at "
        fix += "this path."
        return DataError(label, found, "wanted every file of the data set in the folder of ir_datasets", fix)
    if isinstance(error, OSError) and error.errno in CANNOT_STORE:
        found, wanted = f"the records could not be stored ({reason})", "wanted a writable folder with enough space"
        fix = "Free space or correct the permissions, or set IR_DATASETS_HOME and TMPDIR to other folders."
        return DataError(label, found, wanted, fix)
    found = f"ir_datasets could not read the records ({reason})"
    wanted = "wanted a download of the data set, or its files from an earlier download in the folder of ir_datasets"
    return DataError(label, found, wanted, "Check the network and the proxy, then run the command again.")


def _write(dataset: Any, folder: Path) -> None:
    _write_lines(folder / "corpus.jsonl", map(_document, dataset.docs_iter()))
    _write_lines(folder / "queries.jsonl", map(_query, dataset.queries_iter()))
    if dataset.has_qrels():
        (folder / "qrels").mkdir()
        lines = (f"{q.query_id}\t{q.doc_id}\t{q.relevance}\n" for q in dataset.qrels_iter())
        _write_text(folder / "qrels" / "test.tsv", lines)


def _document(record: Any) -> dict[str, str | None]:
    """Return a document with title and text if the data set has both, else with all its text."""
    title = getattr(record, "title", None)
    text = getattr(record, "text", None) or getattr(record, "body", None)
    if text is None:
        title, text = None, record.default_text()
    return {"_id": record.doc_id, "title": title, "text": text}


def _query(record: Any) -> dict[str, str | None]:
    return {"_id": record.query_id, "text": record.default_text()}


def _write_lines(path: Path, records: Iterable[dict[str, str | None]]) -> None:
    # ASCII escapes: a lone surrogate survives to the parser, which sets the record aside with its reason.
    _write_text(path, (json.dumps(record) + "\n" for record in records))


def _write_text(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
