"""Training data as Parquet shards: pairs as row numbers, and each text once.

    FOLDER/queries/*.parquet     row int64, text string
    FOLDER/documents/*.parquet   row int64, text string
    FOLDER/pairs/*.parquet       query int64, documents array<int64> (positive first), label array<double> or no label
    FOLDER/dev_queries, dev_documents (id, text), dev_judgements (query_id, doc_id, relevance): the dev part, if any

The files of a folder, sorted by name, hold the rows by ascending row number. Memory-mapped Arrow reads them, so all
processes of a machine share one copy. A batch looks up only its own texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.names import amount

if TYPE_CHECKING:
    from datasets import Dataset

FIX = "Run train_model again with --force to write new training data."


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out data that checkpoints are measured on: texts by id, and relevance by query id and document id."""

    queries: dict[str, str]
    documents: dict[str, str]
    judgements: dict[str, dict[str, int]]


@dataclass(frozen=True)
class TrainingData:
    """A folder of training data."""

    folder: Path

    def files(self, name: str) -> list[str]:
        """Return the Parquet files of a part, sorted by name. Raises DataError if there are none."""
        found = sorted(str(path) for path in (self.folder / name).glob("*.parquet"))
        if not found:
            raise DataError(
                str(self.folder / name), "the folder has no Parquet file", "wanted at least one Parquet file", FIX
            )
        return found

    def count(self, name: str) -> int:
        """Return the number of rows of a part, from the footers of its files."""
        return sum(pq.read_metadata(file).num_rows for file in self.files(name))

    @property
    def has_dev(self) -> bool:
        return (self.folder / "dev_queries").is_dir()

    def check(self, *, labels: int | None) -> int:
        """Return the number of negatives of each pair. Raises DataError unless all pairs can be trained on.

        - labels: the number of labels of a pair beyond its negatives (0 for margins, 1 for scores), None if the loss
          has no labels.
        """
        place = str(self.folder / "pairs")
        table = pq.read_table(self.files("pairs"))
        sizes = pc.unique(pc.list_value_length(table["documents"]).combine_chunks()).to_pylist()
        if len(sizes) != 1 or sizes[0] < 2:
            several = f"the number of documents differs between pairs: {', '.join(sorted(map(str, sizes)))}"
            found = several if len(sizes) > 1 else "the pairs have no negatives" if sizes else "there are no pairs"
            wanted = "wanted one positive document and the same number of negatives, 1 or more, in each pair"
            raise DataError(place, found, wanted, FIX)
        for column, name in (("query", "queries"), ("documents", "documents")):
            numbers = table[column].combine_chunks()
            numbers = numbers.flatten() if column == "documents" else numbers
            least, most = pc.min_max(numbers).as_py().values()
            if least < 0 or most >= self.count(name):
                found = f"a pair refers to row {least if least < 0 else most} of {name}"
                raise DataError(place, found, f"wanted a row from 0 to {self.count(name) - 1}", FIX)
        if labels is not None:
            check_labels(table["label"].combine_chunks(), sizes[0] - 1 + labels, place=place)
        return int(sizes[0]) - 1

    def pairs(self, *, labels: bool) -> Dataset:
        """Return the pairs as a data set of (query, positive, negative_1 …, label). Each batch looks up its texts."""
        pairs = self._mapped("pairs")
        if not labels and "label" in pairs.column_names:
            pairs = pairs.remove_columns("label")
        pairs.set_transform(Texts(self._ordered("queries"), self._ordered("documents")))
        return pairs

    def first(self, name: str, count: int) -> list[str]:
        """Return the first `count` texts of a part, or all if there are fewer."""
        rows = pq.ParquetFile(self.files(name)[0]).iter_batches(count, columns=["text"])
        return [text or "" for text in next(rows).column("text").to_pylist()]

    def longest(self, name: str, count: int) -> list[str]:
        """Return the `count` texts of a part that have the most characters."""
        table = pq.read_table(self.files(name), columns=["text"])
        lengths = pc.utf8_length(table["text"])
        best = pc.select_k_unstable(pa.table({"length": lengths}), k=count, sort_keys=[("length", "descending")])
        return [text or "" for text in table["text"].take(best).to_pylist()]

    def held_out(self) -> HeldOut:
        """Return the dev part."""
        texts = []
        for name in ("dev_queries", "dev_documents"):
            table = pq.read_table(self.files(name))
            texts.append(dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)))
        judgements: dict[str, dict[str, int]] = {}
        for row in pq.read_table(self.files("dev_judgements")).to_pylist():
            judgements.setdefault(row["query_id"], {})[row["doc_id"]] = row["relevance"]
        return HeldOut(texts[0], texts[1], judgements)

    def _mapped(self, name: str) -> Dataset:
        import datasets

        datasets.disable_progress_bars()
        return datasets.Dataset.from_parquet(self.files(name), cache_dir=str(self.folder / "cache" / name))

    def _ordered(self, name: str) -> Dataset:
        rows = self._mapped(name)
        numbers = rows.data.column("row").to_numpy()
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise DataError(
                str(self.folder / name),
                "the rows are not in order",
                "wanted rows numbered from 0 in ascending order",
                FIX,
            )
        return rows.select_columns("text")


def check_labels(labels: pa.ListArray, wanted: int, *, place: str) -> None:
    """Raise DataError unless every pair has `wanted` labels, all labels are finite, and they are not all equal."""
    lengths = pc.list_value_length(labels)
    if labels.null_count or pc.any(pc.not_equal(lengths, wanted)).as_py():
        counts = [length or 0 for length in lengths.to_pylist()]
        row, count = next((row, count) for row, count in enumerate(counts) if count != wanted)
        raise DataError(f"{place} row {row}", f"the pair has {amount(count, 'label')}", f"wanted {wanted} labels", FIX)
    values: NDArray[np.float64] = labels.flatten().to_numpy(zero_copy_only=False)
    broken = ~np.isfinite(values)
    if broken.any():
        row = int(np.argmax(broken)) // wanted
        raise DataError(
            f"{place} row {row}",
            f"a label is {values[broken][0]}",
            "wanted a finite number",
            "Run score_pairs again with --force, then train_model.",
        )
    if len(values) and values.min() == values.max():
        raise DataError(
            place,
            f"all {len(values):,} labels are {values[0]:g}",
            "wanted labels that differ, because a model learns nothing from equal labels",
            "Run score_pairs with other --teachers, or train with --loss ranking, which needs no teacher.",
        )


class Texts:
    """The transform of a batch of pairs: replaces row numbers by texts, in the columns that the losses read."""

    def __init__(self, queries: Dataset, documents: Dataset) -> None:
        self._queries, self._documents = queries, documents

    def __call__(self, batch: dict[str, Sequence[Any]]) -> dict[str, list[Any]]:
        rows = np.array(batch["documents"], dtype=np.int64)
        columns: dict[str, list[Any]] = {"query": self._queries[list(batch["query"])]["text"]}
        distinct, places = np.unique(rows, return_inverse=True)
        texts = self._documents[distinct.tolist()]["text"]
        for number, column in enumerate(places.reshape(rows.shape).T):
            columns[f"negative_{number}" if number else "positive"] = [texts[place] for place in column]
        if "label" in batch:
            columns["label"] = list(batch["label"])
        return columns
