"""BM25 inside a Python worker: texts to packs of counted words, packs to weights.

A pack holds many texts under one list of their different words, so that numpy handles all words of a pack at once.
If there are few texts, the driver runs the same functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spladelake.bm25.counts import Counting, WordCounts
from spladelake.bm25.settings import Bm25Settings
from spladelake.bm25.weights import document_weights
from spladelake.bm25.words import word_counter
from spladelake.encoder.texts import clean_texts
from spladelake.spark.encode.worker import VECTOR_BATCH

# names: the different words of a pack in the order of their UTF-8 bytes, or the names of facts about texts.
# amounts: one for each name. pack: the texts and their counts as an Arrow stream; null in a row of facts.
PACKS = "names array<string>, amounts array<bigint>, pack binary"
PACK_BATCH = pa.schema([("names", pa.list_(pa.string())), ("amounts", pa.list_(pa.int64())), ("pack", pa.binary())])
# A pack is full at this `Counting.size`: some 32 MB of postings, and less than 200 MB of memory during the count.
PACK_SIZE = 4_000_000

# Names of facts begin with a space. No word holds one, so facts sort before all words.
FACT = " "
TEXTS, IDS, TOKENS, STATUS = " texts", " ids", " tokens", " status "


@dataclass(frozen=True)
class WordStatistics:
    """Statistics of all documents, empty ones included, that BM25 needs beside the document frequency of each word."""

    documents: int
    average_length: float
    vocabulary_size: int


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words and their term ids.

    - words: in the order of their UTF-8 bytes.
    - ids: term id of each word, ascending.
    - frequencies: documents that hold each word, by term id; None for queries, which do not need them.
    """

    words: pa.StringArray
    ids: NDArray[np.int32]
    frequencies: NDArray[np.int64] | None = None

    def ids_of(self, words: pa.StringArray) -> NDArray[np.int32]:
        """Return the term id of each word; -1 if the vocabulary lacks it."""
        places = pc.index_in(words, value_set=self.words).fill_null(-1)
        found: NDArray[np.int32] = np.append(self.ids, np.int32(-1))[places.to_numpy()]
        return found


@dataclass(frozen=True)
class CountWords:
    """The function given to mapInArrow: (id, text, text_sha256, repaired) to rows of PACKS.

    - amounts: for each word, count the texts that hold it or its occurrences in all of them.
    - pack_size: `Counting.size` of a full pack.

    The last row of a task has the facts about all of its texts.
    """

    settings: Bm25Settings
    amounts: Literal["texts", "occurrences"]
    pack_size: int = PACK_SIZE

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ids: list[pa.Array] = []
        facts: Counter[str] = Counter()
        for texts, counted in self._packs(batches):
            ids.append(texts["id"].combine_chunks())
            facts.update(_facts(texts))
            weights = counted.counts if self.amounts == "occurrences" else None
            amounts = np.bincount(counted.terms, weights, minlength=len(counted.words)).astype(np.int64)
            yield _pack_row(counted.words, amounts, _as_bytes(texts, counted))
        facts[IDS] = pc.count_distinct(pa.chunked_array(ids, pa.string()), mode="only_valid").as_py()
        yield _pack_row(pa.array(facts, pa.string()), np.array(list(facts.values()), np.int64), None)

    def _packs(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.Table, WordCounts]]:
        """Yield (id, text_sha256, status, tokens) rows and their counts, one pack at a time."""
        counter = word_counter(self.settings)
        counting, parts = Counting(counter), list[pa.Table]()
        for batch in batches:
            texts, statuses = clean_texts(batch.column("text").to_pylist())
            counting.add(texts)
            parts.append(pa.table([*(batch.column(name).cast(pa.string()) for name in ("id", "text_sha256")),
                                   pa.array(statuses, pa.string()), batch.column("repaired")],
                                  ["id", "text_sha256", "status", "repaired"]))  # fmt: skip
            if counting.size >= self.pack_size:
                yield _pack(parts, counting.finish())
                counting, parts = Counting(counter), []
        if parts:
            yield _pack(parts, counting.finish())


def _pack(parts: list[pa.Table], counted: WordCounts) -> tuple[pa.Table, WordCounts]:
    texts = pa.concat_tables(parts)
    status = texts["status"]
    with_text = pc.is_in(status, value_set=pa.array(["ok", "repaired"]))
    blank = pc.and_(with_text, pa.array(counted.lengths == 0))
    status = pc.if_else(blank, "blank", pc.if_else(pc.and_(with_text, texts["repaired"]), "repaired", status))
    columns = [texts["id"], texts["text_sha256"], status, pa.array(counted.lengths)]
    return pa.table(columns, ["id", "text_sha256", "status", "tokens"]), counted


def _facts(texts: pa.Table) -> Counter[str]:
    statuses = {STATUS + entry["values"]: entry["counts"] for entry in pc.value_counts(texts["status"]).to_pylist()}
    return Counter({TEXTS: len(texts), TOKENS: pc.sum(texts["tokens"]).as_py() or 0, **statuses})


def _pack_row(names: pa.StringArray, amounts: NDArray[np.int64], pack: bytes | None) -> pa.RecordBatch:
    ends = pa.array([0, len(names)], pa.int32())
    columns = [
        pa.ListArray.from_arrays(ends, names),
        pa.ListArray.from_arrays(ends, pa.array(amounts)),
        pa.array([pack], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PACK_BATCH)


def _as_bytes(texts: pa.Table, counted: WordCounts) -> bytes:
    ends = pa.array(counted.indptr, pa.int32())
    table = texts.append_column("terms", pa.ListArray.from_arrays(ends, pa.array(counted.terms)))
    table = table.append_column("counts", pa.ListArray.from_arrays(ends, pa.array(counted.counts))).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(words: pa.StringArray, pack: pa.Buffer) -> tuple[pa.RecordBatch, WordCounts]:
    (texts,) = pa.ipc.open_stream(pack)
    terms, counts = texts.column("terms"), texts.column("counts")
    indptr = terms.offsets.to_numpy().astype(np.int64)
    lengths = texts.column("tokens").to_numpy()
    return texts, WordCounts(words, indptr, terms.values.to_numpy(), counts.values.to_numpy(), lengths)


@dataclass(frozen=True)
class WeighWords:
    """The function given to mapInArrow: rows of PACKS to `vectors` rows, without words that the vocabulary lacks.

    - statistics: of the documents; None for queries, whose weights are counts.
    """

    settings: Bm25Settings
    vocabulary: Vocabulary
    statistics: WordStatistics | None
    model_id: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for names, pack in zip(batch.column("names"), batch.column("pack"), strict=True):
                if pack.is_valid:
                    yield self._vectors(names.values.cast(pa.string()), pack.as_buffer())

    def _vectors(self, words: pa.StringArray, pack: pa.Buffer) -> pa.RecordBatch:
        texts, counted = _from_bytes(words, pack)
        indptr, indices, counts = counted.under(self.vocabulary.ids_of(words))
        values = self._values(indices, counts, np.repeat(counted.lengths.astype(np.int64), np.diff(indptr)))
        ends = pa.array(indptr, pa.int32())
        columns = [
            texts.column("id"),
            pa.ListArray.from_arrays(ends, pa.array(indices)),
            pa.ListArray.from_arrays(ends, pa.array(values)),
            texts.column("tokens"),
            pa.repeat(pa.scalar(False), len(texts)),
            texts.column("text_sha256"),
            texts.column("status"),
            pa.repeat(pa.scalar(self.model_id), len(texts)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=VECTOR_BATCH)

    def _values(
        self, indices: NDArray[np.int32], counts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        if self.statistics is None:
            return counts.astype(np.float32)
        assert self.vocabulary.frequencies is not None
        return document_weights(
            counts,
            self.vocabulary.frequencies[indices],
            lengths,
            documents=self.statistics.documents,
            average_length=self.statistics.average_length,
            k1=self.settings.k1,
            b=self.settings.b,
        )
