"""The bytes of single terms in the Parquet files of an index, read without the rest of the file.

Each row of the index is a row group of its own and not compressed. A column of a row group then holds one value, and
the value is the last bytes of the column, behind its length. So the footer of a file says where the values are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spladelake.index.layout import MAGIC, WORD_BYTES, Directory, broken, directory_of
from spladelake.scoring import Block

LENGTH_BYTES = 4
VALUES = ("id_starts", "ids", "terms", "ordinals", "weights")
START_BYTES = 4
_WANTED = "wanted the columns as index_vectors writes them"


class OtherFormError(ValueError):
    """A file of the index has another form than index_vectors writes, as after a rewrite by another program."""


class IndexFile(Protocol):
    """A file that can be read at any place, and as a stream."""

    stream: BinaryIO

    def read_at(self, place: int, size: int) -> bytes:
        """Return bytes from a place on."""
        ...


class LocalFile:
    """A file of this machine, which stays open."""

    def __init__(self, path: Path) -> None:
        self.stream: BinaryIO = path.open("rb")

    def read_at(self, place: int, size: int) -> bytes:
        """Return bytes from a place on."""
        return os.pread(self.stream.fileno(), size, place)


@dataclass(frozen=True)
class Chunk:
    """The place of a column of one row in a file, in bytes."""

    start: int
    end: int


class Counter:
    """The number of bytes read, and the number of reads."""

    def __init__(self) -> None:
        self.bytes = self.reads = 0


@dataclass(frozen=True)
class StoredRow:
    """A row of the index in a file.

    - source: the file.
    - chunks: the place of each column.
    - model_id: the model of the vectors.
    - counter: counts what is read.
    """

    source: IndexFile
    chunks: Mapping[str, Chunk]
    model_id: str
    counter: Counter

    def directory(self) -> Directory:
        """Read the directory of the row's terms. Raises DataError if the column holds none."""
        chunk = self.chunks["terms"]
        found = self._read(chunk.start, chunk.end - chunk.start)
        start = found.find(MAGIC)
        while start >= 0:
            if int.from_bytes(found[max(0, start - LENGTH_BYTES) : start], "little") == len(found) - start:
                return directory_of(memoryview(found)[start:])
            start = found.find(MAGIC, start + 1)
        raise broken("the column 'terms' does not hold one whole value", _WANTED)

    def block(self, directory: Directory, terms: NDArray[np.int32]) -> Block:
        """Read the postings of some terms. terms: ascending term ids. The block has those that occur."""
        places = directory.places(terms)
        chosen = directory.take(places)
        return chosen.block(
            self._words("ordinals", directory.ordinal_words, places),
            self._words("weights", directory.weight_words, places),
        )

    def ids(self, directory: Directory, ordinals: NDArray[np.int64]) -> list[bytes]:
        """Read the ids of some documents in UTF-8."""
        starts = self._start("id_starts", START_BYTES * (directory.documents + 1))
        size = int.from_bytes(self._read(starts + START_BYTES * directory.documents, START_BYTES), "little")
        data, found = self._start("ids", size), []
        for ordinal in ordinals.tolist():
            first, last = np.frombuffer(self._read(starts + START_BYTES * ordinal, 2 * START_BYTES), "<u4").tolist()
            if not first <= last <= size:
                raise broken(
                    f"an id goes from byte {first} to byte {last} of {size}", "wanted ids that follow one another"
                )
            found.append(self._read(data + first, last - first))
        return found

    def _words(self, column: str, starts: NDArray[np.int64], places: NDArray[np.int64]) -> bytes:
        """Read the words of some terms. starts: the place of each term's words in the column, and the end."""
        first = self._start(column, WORD_BYTES * int(starts[-1]))
        bounds = ((int(starts[t]), int(starts[t + 1])) for t in places)
        return b"".join(self._read(first + WORD_BYTES * a, WORD_BYTES * (b - a)) for a, b in bounds)

    def _start(self, column: str, size: int) -> int:
        """Return the place of a column's value, which has this size. Raises DataError if it is not there."""
        chunk = self.chunks[column]
        start = chunk.end - size
        if start - LENGTH_BYTES < chunk.start or (
            int.from_bytes(self._read(start - LENGTH_BYTES, LENGTH_BYTES), "little") != size
        ):
            raise broken(f"the column {column!r} does not hold one value with a length of {size} bytes", _WANTED)
        return start

    def _read(self, place: int, size: int) -> bytes:
        found = self.source.read_at(place, size)
        if len(found) != size:
            raise broken(f"the file ends before byte {place + size}", "wanted a whole file")
        self.counter.bytes += size
        self.counter.reads += 1
        return found


def stored_rows(source: IndexFile, counter: Counter) -> Iterator[StoredRow]:
    """Yield the rows of a file of the index. Raises OtherFormError if it has another form.

    - source: the file.
    - counter: counts what is read.
    """
    footer = pq.read_metadata(source.stream)
    counter.bytes += footer.serialized_size
    counter.reads += 1
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
        if group.num_rows != 1:
            raise OtherFormError(f"a row group holds {group.num_rows:,} rows instead of 1")
        if missing := sorted({*VALUES, "model_id"} - columns.keys()):
            raise OtherFormError(f"it lacks the column {missing[0]}")
        if any(c.compression != "UNCOMPRESSED" or c.has_dictionary_page for c in columns.values()):
            raise OtherFormError("a column is compressed, or has a dictionary")
        models = columns["model_id"].statistics
        if models is None or not models.has_min_max or models.min != models.max:
            raise OtherFormError("the footer does not name the model")
        chunks = {
            name: Chunk(columns[name].data_page_offset, columns[name].data_page_offset + column.total_compressed_size)
            for name, column in columns.items()
            if name in VALUES
        }
        yield StoredRow(source, chunks, models.min, counter)
