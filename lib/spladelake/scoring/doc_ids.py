"""Document ids as bytes, so that native code can compare them without touching Python strings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.scoring.compiled import array, native, view


@dataclass(frozen=True, eq=False)
class DocIds:
    """Ids in UTF-8, in the layout of an Arrow string array: id i is the bytes `starts[i]:starts[i + 1]` of `data`.

    The ids of one corpus must be distinct.

    - starts: int64 (ids + 1), from 0.
    - data: uint8.
    """

    starts: NDArray[np.int64]
    data: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, ids: DocIds | Sequence[str]) -> DocIds:
        """Return the ids of strings; a DocIds is returned unchanged."""
        if isinstance(ids, DocIds):
            return ids
        encoded = [doc_id.encode() for doc_id in ids]
        starts = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(doc_id) for doc_id in encoded], out=starts[1:])
        return cls(starts, np.frombuffer(b"".join(encoded), dtype=np.uint8))

    def to_bytes(self) -> list[bytes]:
        """Return the ids in UTF-8."""
        data, starts = self.data.tobytes(), self.starts.tolist()
        return [data[a:b] for a, b in pairwise(starts)]

    def to_strings(self) -> list[str]:
        """Return the ids as Python strings."""
        return [of_id.decode() for of_id in self.to_bytes()]

    def slice(self, start: int, end: int) -> DocIds:
        """Return ids `start` to `end`, without copying their bytes."""
        places = self.starts[start : end + 1]
        return DocIds(places - places[0], self.data[places[0] : places[-1]])

    def take(self, rows: NDArray[np.int32]) -> DocIds:
        """Return the ids at the given rows: id i of the result is id `rows[i]` of this."""
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(np.diff(self.starts)[rows], out=starts[1:])
        data = np.empty(starts[-1], dtype=np.uint8)
        _gather(self.starts, self.data, np.ascontiguousarray(rows, dtype=np.int32), starts, data)
        return DocIds(starts, data)

    def copy(self) -> DocIds:
        """Return the same ids in memory of their own."""
        return DocIds(self.starts.copy(), self.data.copy())

    def buckets(self, count: int) -> NDArray[np.int32]:
        """Return a bucket of each id by its hash, 0 to count - 1: int32 (ids). Equal ids have the same bucket."""
        hashes = np.empty(len(self), dtype=np.int64)
        _hash_documents(self.starts, self.data, 0, hashes)
        return ((hashes.view(np.uint64) >> np.uint64(32)) % np.uint64(count)).astype(np.int32)

    @classmethod
    def concatenate(cls, parts: Sequence[DocIds]) -> DocIds:
        """Return the ids of all parts, in their order."""
        before = np.cumsum([0, *(len(part.data) for part in parts)])
        starts = [part.starts[1:] + offset for part, offset in zip(parts, before[:-1], strict=True)]
        first = np.zeros(1, dtype=np.int64)
        return cls(np.concatenate([first, *starts]), np.concatenate([np.empty(0, np.uint8), *(p.data for p in parts)]))


class IdTable:
    """The ids of the documents in the shortlists. Each block adds rows; `keep` drops the unused rows now and then.

    The arrays of the first block are used as they are: to copy its ids takes longer than to score one query with it.

    - starts, data, keys, suffix: see `shortlist.Ids`.
    """

    # Up to this many rows nothing is dropped: 65,536 ids take a few MB.
    _FREE_ROWS = 65_536

    def __init__(self, suffix: int = 0) -> None:
        self.suffix = suffix
        self.keys = np.zeros(0, dtype=np.int64)
        self.starts = np.zeros(1, dtype=np.int64)
        self.data = np.empty(0, dtype=np.uint8)
        self.rows = 0
        self._rows_kept = 0

    def append(self, ids: DocIds) -> int:
        """Add ids and return the row of the first. Arrays grow by half or more, so that rows are rarely copied."""
        first = self.rows
        self.rows += len(ids)
        if first and len(ids):
            self._add(first, ids)
        elif not first:
            self.starts, self.data = ids.starts, ids.data
        if self.suffix:
            if self.rows > len(self.keys):
                self.keys = np.concatenate([self.keys, np.zeros(max(len(ids), first // 2), dtype=np.int64)])
            of_ids = self.starts[first : self.rows + 1]
            _hash_documents(of_ids, self.data, self.suffix, self.keys[first : self.rows])
        return first

    def _add(self, first: int, ids: DocIds) -> None:
        """Write ids from row `first` on, into new arrays if these are full."""
        used = int(self.starts[first])
        size = used + len(ids.data)
        if self.rows >= len(self.starts):
            more = np.zeros(max(len(ids), first // 2, self._FREE_ROWS), dtype=np.int64)
            self.starts = np.concatenate([self.starts, more])
        if size >= len(self.data):
            more_bytes = np.empty(max(len(ids.data), used // 2, self._FREE_ROWS * 8), dtype=np.uint8)
            self.data = np.concatenate([self.data[:used], more_bytes])
        self.starts[first : self.rows + 1] = used + ids.starts
        self.data[used:size] = ids.data

    @property
    def wants_compaction(self) -> bool:
        """Whether most rows are newer than the last compaction, so that dropping unused rows pays."""
        return self.rows > max(self._FREE_ROWS, 2 * self._rows_kept)

    def keep(self, used: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Drop unused rows, and return the new row of each old row: int32 (rows). used: bool (rows)."""
        kept = DocIds(self.starts[: self.rows + 1], self.data).take(np.flatnonzero(used).astype(np.int32))
        self.rows = self._rows_kept = 0
        self.append(kept)
        self._rows_kept = self.rows
        return np.cumsum(used, dtype=np.int32) - np.int32(1)


@native(view(types.int64), view(types.uint8), types.int64, array(types.int64))
def _hash_documents(starts, data, suffix, keys):  # type: ignore[no-untyped-def]
    """Write a hash of each id without its suffix (FNV-1a)."""
    for row in range(keys.size):
        key = np.uint64(14695981039346656037)
        for place in range(starts[row], starts[row + 1] - suffix):
            key = (key ^ np.uint64(data[place])) * np.uint64(1099511628211)
        keys[row] = np.int64(key ^ (key >> np.uint64(32)))


@native(view(types.int64), view(types.uint8), view(types.int32), view(types.int64), array(types.uint8))
def _gather(starts, data, rows, out_starts, out):  # type: ignore[no-untyped-def]
    """Copy the bytes of the chosen ids, one id after the other."""
    for i in range(rows.size):
        source, target = starts[rows[i]], out_starts[i]
        for j in range(out_starts[i + 1] - target):
            out[target + j] = data[source + j]
