"""Exact answers to one question from an index: only the postings of the question's own terms are read.

The rows equal those of a retrieval to the last bit, because the same kernel adds up the same integers. It ranks
documents by their place in the index first. Ids are read only of the documents that can be among the best. So the
documents with the lowest score found are left out, because others may have the same score: if too few stay, the search
starts again with more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.index.files import Counter, StoredRow
from spladelake.index.layout import Directory
from spladelake.passages import ID_SUFFIX
from spladelake.scoring import DocIds, Queries, Ranked, TopK
from spladelake.scoring.checks import repeated_id
from spladelake.vectors import SparseVectors

# Documents ranked at first, for each that is wanted.
SPARE = 2
FEWEST = 32
# Bytes of a place, which stands for an id: the number of the row and the document in it.
PLACE_BYTES = 8


@dataclass(frozen=True)
class FoundDocument:
    """A document that was found, or the best passage of one.

    - row, ordinal: its place: the row of the index, and the number of the document there.
    """

    row_id: str
    score: float
    row: int
    ordinal: int


@dataclass(frozen=True)
class IndexSearch:
    """The rows of a current index, ready to answer questions.

    - rows: the rows.
    - vocabulary_size: dimensions of the vectors.
    - of_passages: whether the vectors are of passages.
    - counter: counts what is read of the rows.
    """

    rows: Sequence[StoredRow]
    vocabulary_size: int
    of_passages: bool
    counter: Counter

    def best(self, question: SparseVectors, *, k: int) -> list[FoundDocument]:
        """Return the k best documents of a question, the best first; of passages each document's best one.

        - question: one vector.
        """
        terms, _ = question.row(0)
        if not len(terms):
            return []
        depth = max(FEWEST, SPARE * k)
        directories: dict[int, Directory] = {}
        while True:
            ranked = self._ranked(question, terms, depth, directories)
            whole = len(ranked) < depth
            hits = self._named(ranked, 0 if whole else _ties_at_end(ranked), directories)
            if whole or len(hits) >= k:
                return hits[:k]
            depth *= 4

    def vectors(
        self, hits: Sequence[FoundDocument], question: SparseVectors
    ) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """Return term ids and weights of each hit. Only the terms of the question are read, so there are no others."""
        blocks = {}
        for number in {hit.row for hit in hits}:
            row = self.rows[number]
            blocks[number] = row.block(row.directory(), question.row(0)[0])
        found = []
        for hit in hits:
            block = blocks[hit.row]
            postings = np.flatnonzero(block.ordinals == hit.ordinal)
            slots = np.searchsorted(block.starts, postings, side="right") - 1
            found.append((block.term_ids[slots], block.weights[postings]))
        return found

    def _ranked(
        self, question: SparseVectors, terms: NDArray[np.int32], depth: int, directories: dict[int, Directory]
    ) -> Ranked:
        """Return the best documents of all rows, by their places. directories: filled with those of the rows."""
        top = TopK(Queries.of(question, vocabulary_size=self.vocabulary_size), k=depth)
        for number, row in enumerate(self.rows):
            directory = directories[number] = directories.get(number) or row.directory()
            block = row.block(directory, terms)
            if len(block.term_ids):
                top.add(block, _places(number, len(block)))
        return top.result()

    def _named(self, ranked: Ranked, left_out: int, directories: dict[int, Directory]) -> list[FoundDocument]:
        """Return the documents in their order, with their ids. left_out: number of rows at the end to leave out."""
        count = len(ranked) - left_out
        places = ranked.doc_ids.data[: count * PLACE_BYTES].view(">u8").astype(np.int64)
        of_row = defaultdict[int, list[int]](list)
        for n, place in enumerate(places.tolist()):
            of_row[place >> 16].append(n)
        ids = [b""] * count
        for number, chosen in of_row.items():
            found = self.rows[number].ids(directories[number], places[chosen] & 0xFFFF)
            for n, row_id in zip(chosen, found, strict=True):
                ids[n] = row_id
        cut = -ID_SUFFIX if self.of_passages else None
        units, rests = ranked.units.tolist(), ranked.rests.tolist()
        order = sorted(range(count), key=lambda n: (-units[n], -rests[n], ids[n][:cut], ids[n]))
        scores, hits = ranked.scores.tolist(), dict[bytes, FoundDocument]()
        for n in order:
            hit = FoundDocument(ids[n].decode(), scores[n], int(places[n]) >> 16, int(places[n]) & 0xFFFF)
            if hits.setdefault(ids[n][:cut], hit) is not hit and not self.of_passages:
                raise repeated_id("the index", hit.row_id)
        return list(hits.values())


def _ties_at_end(ranked: Ranked) -> int:
    """Return how many documents at the end of a ranking have the lowest score."""
    same = (ranked.units == ranked.units[-1]) & (ranked.rests == ranked.rests[-1])
    return int(same.sum())


def _places(number: int, documents: int) -> DocIds:
    """Return the places of the documents of a row, as ids."""
    places = (np.arange(documents, dtype=np.uint64) | np.uint64(number << 16)).astype(">u8")
    starts = np.arange(documents + 1, dtype=np.int64) * PLACE_BYTES
    return DocIds(starts, np.frombuffer(places.tobytes(), dtype=np.uint8))
