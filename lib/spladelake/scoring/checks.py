"""Checks of the invariants of vectors, before any of them is scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.scoring.compiled import array, native, view
from spladelake.vectors import SparseVectors

_FIX = "Correct this row, or encode its text again."


def check_vectors(
    vectors: SparseVectors,
    *,
    vocabulary_size: int,
    place: str,
    ids: Sequence[str] | None = None,
    value_indptr: NDArray[np.int64] | None = None,
    fix: str = _FIX,
) -> None:
    """Raise DataError that names the first row that breaks an invariant of SparseVectors.

    - place: the name of the table in errors.
    - ids: the ids of the rows; empty if the place names the only row.
    - value_indptr: starts of the rows of `values`, if they come from a list column of their own, whose lists may differ
      in length from those of `indices`. vectors.indptr then holds the starts of `indices`.
    - fix: the sentence that tells how to mend a row.

    The check takes about one nanosecond per element.
    """
    lengths = np.diff(vectors.indptr if value_indptr is None else value_indptr)
    differ = np.flatnonzero(vectors.active_dims != lengths)
    if len(differ):
        row = int(differ[0])
        found = f"the row has {vectors.active_dims[row]} indices but {lengths[row]} values"
        raise DataError(_name(place, row, ids), found, "wanted as many indices as values", fix)
    if vectors.indptr[-1] > min(len(vectors.indices), len(vectors.values)):
        found = (
            f"the rows have {vectors.indptr[-1]} elements together, but {len(vectors.indices)} indices and "
            f"{len(vectors.values)} values"
        )
        raise DataError(place, found, "wanted an index and a value for every element", "Encode all the texts again.")
    fault = np.full(2, -1, dtype=np.int64)
    find_fault(vectors.indptr, vectors.indices, vectors.values, vocabulary_size, fault)
    row, element = map(int, fault)
    if row >= 0:
        found, wanted = _describe(vectors, row, element, vocabulary_size)
        raise DataError(_name(place, row, ids), found, wanted, fix)


def _name(place: str, row: int, ids: Sequence[str] | None) -> str:
    if ids is None:
        return f"{place}, row {row}"
    return f"{place}, id {ids[row]!r}" if ids else place


def _describe(vectors: SparseVectors, row: int, element: int, vocabulary_size: int) -> tuple[str, str]:
    """Return the texts for what is wrong with an element and for what was wanted."""
    term, weight = int(vectors.indices[element]), float(vectors.values[element])
    if not (np.isfinite(weight) and weight > 0):
        return f"the term {term} has the weight {weight}", "wanted finite weights above 0"
    if not 0 <= term < vocabulary_size:
        return f"the row has the term {term}", f"wanted term ids from 0 to {vocabulary_size - 1}"
    before = int(vectors.indices[element - 1])
    found = f"the row has the term {term} twice" if before == term else f"the term {term} comes after the term {before}"
    return found, "wanted ascending term ids, each once"


@native(view(types.int64), view(types.int32), view(types.float32), types.int64, array(types.int64))
def find_fault(indptr: Any, indices: Any, values: Any, vocabulary_size: Any, fault: Any) -> None:
    """Write the row and the place of the first element that breaks an invariant; write nothing if all are valid."""
    for row in range(indptr.size - 1):
        # The previous term, -1 before the first: a term id below 0 then counts as descending.
        before = np.int64(-1)
        for i in range(indptr[row], indptr[row + 1]):
            term, weight = np.int64(indices[i]), values[i]
            if term <= before or term >= vocabulary_size or not (weight > 0.0 and weight < np.inf):
                fault[0], fault[1] = row, i
                return
            before = term


def repeated_id(place: str, one: str) -> DataError:
    """Return the error for an id that several rows of a table have."""
    wanted = "wanted one row for each id"
    return DataError(place, f"the id {one!r} is in more than one row", wanted, "Remove the repeated rows.")
