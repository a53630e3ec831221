"""Functions of vector columns, for DataFrames and SQL: dot product, terms by name, and the parts of a score.

A vector is one column struct<indices, values>, or two columns of arrays. A null vector gives a null.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spladelake.encoder.layout import read_layout
from spladelake.encoder.tokens import vocabulary_tokens
from spladelake.errors import DataError, UsageError
from spladelake.scoring import check_vectors
from spladelake.scoring.pairs import dot_pairs
from spladelake.spark.session.arrow_functions import column_function
from spladelake.vectors import SparseVectors

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint

# Term ids of vectors whose vocabulary is not known must be below this number. The largest vocabularies of tokenizers
# have 260,000 tokens.
MOST_TERMS = 2**20

# Terms of a vector that are named if no number is given.
DEFAULT_TERMS = 10

DECODED = "array<struct<token: string, weight: float>>"
# Type of an array that is null in all rows. Weights are cast to floats later.
_NO_VECTOR = pa.list_(pa.int32())
EXPLAINED = "array<struct<token: string, query_weight: float, doc_weight: float, contribution: double>>"


def dot_udf() -> Any:
    """Return the Spark function of the exact dot product of two vectors."""

    def dot(*columns: pa.Array) -> pa.Array:
        return dotted(columns)

    return column_function(dot, "double", empty=_NO_VECTOR)


def decode_udf(checkpoint: Checkpoint) -> Any:
    """Return the Spark function of the heaviest terms of a vector. Its last argument is their number."""

    def decode(*columns: pa.Array) -> pa.Array:
        return decoded(columns, checkpoint)

    return column_function(decode, DECODED, empty=_NO_VECTOR)


def explain_udf(checkpoint: Checkpoint) -> Any:
    """Return the Spark function of the terms that two vectors share. Its last argument is their number."""

    def explain(*columns: pa.Array) -> pa.Array:
        return shared_terms(columns, checkpoint)

    return column_function(explain, EXPLAINED, empty=_NO_VECTOR)


@lru_cache(maxsize=2)
def _tokens(folder: str, size: int) -> pa.StringArray:
    path = Path(folder)
    return pa.array(vocabulary_tokens(path / read_layout(path).transformer, size), pa.string())


def dotted(columns: Sequence[pa.Array]) -> pa.DoubleArray:
    """Return the dot product of two vectors in each row."""
    (first, absent1), (second, absent2) = _vectors(columns, 2, place="dot", size=MOST_TERMS)
    return pa.array(dot_pairs(first, second), pa.float64(), mask=absent1 | absent2)


def decoded(columns: Sequence[pa.Array], checkpoint: Checkpoint) -> pa.ListArray:
    """Return the heaviest terms of each row, heaviest first; between equal weights the lower term id comes first."""
    given, limits = _with_limits(columns)
    size = checkpoint.vocabulary_size
    ((vectors, absent),) = _vectors(given, 1, place="decode", size=size)
    rows = _rows(vectors)
    order, starts = _best(rows, vectors.values, vectors.indices, _limits(limits, "decode"))
    tokens = _tokens(checkpoint.folder, size).take(pa.array(vectors.indices[order]))
    terms = pa.StructArray.from_arrays([tokens, pa.array(vectors.values[order])], ["token", "weight"])
    return pa.ListArray.from_arrays(starts, terms, mask=pa.array(absent))


def shared_terms(columns: Sequence[pa.Array], checkpoint: Checkpoint) -> pa.ListArray:
    """Return the terms that query and document share, the largest contribution to the score first."""
    given, limits = _with_limits(columns)
    size = checkpoint.vocabulary_size
    (query, absent1), (document, absent2) = _vectors(given, 2, place="explain", size=size)
    asked, stored = (_rows(side) * size + side.indices for side in (query, document))
    shared, of_query, of_document = np.intersect1d(asked, stored, assume_unique=True, return_indices=True)
    rows, terms = np.divmod(shared, size)
    weights = query.values[of_query], document.values[of_document]
    parts = weights[0].astype(np.float64) * weights[1].astype(np.float64)
    order, starts = _best(rows, parts, terms, _limits(limits, "explain"))
    fields = [
        _tokens(checkpoint.folder, size).take(pa.array(terms[order])),
        *(pa.array(side[order], pa.float32()) for side in weights),
        pa.array(parts[order], pa.float64()),
    ]
    items = pa.StructArray.from_arrays(fields, ["token", "query_weight", "doc_weight", "contribution"])
    return pa.ListArray.from_arrays(starts, items, mask=pa.array(absent1 | absent2))


def _rows(vectors: SparseVectors) -> NDArray[np.int64]:
    """Return the row of each element."""
    return np.repeat(np.arange(len(vectors), dtype=np.int64), vectors.active_dims)


def _best(
    rows: NDArray[np.int64], weights: NDArray[Any], terms: NDArray[Any], limits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], pa.Int32Array]:
    """Return the elements of each row by descending weight, at most `limits` of them, and the start of each row."""
    order = np.lexsort((terms, -weights, rows))
    counts = np.bincount(rows, minlength=len(limits))
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = np.minimum(counts, limits)
    starts = np.concatenate([[0], np.cumsum(kept)])
    return order[places < limits[rows[order]]], pa.array(starts.astype(np.int32))


def _with_limits(columns: Sequence[pa.Array]) -> tuple[Sequence[pa.Array], pa.Array]:
    """Return the vectors and the number of terms, which is the last argument. In SQL it may be left out."""
    if columns and pa.types.is_integer(columns[-1].type):
        return columns[:-1], columns[-1]
    return columns, pa.array(np.full(len(columns[0]), DEFAULT_TERMS))


def _limits(column: pa.Array, place: str) -> NDArray[np.int64]:
    """Return the number of terms wanted in each row. Raises UsageError if a number is null or below 1."""
    wanted = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if (wanted < 1).any():
        raise UsageError(f"{place}, k", "a value is null or below 1", "wanted 1 or more", "Give the number of terms.")
    return np.asarray(wanted, dtype=np.int64)


def _vectors(
    columns: Sequence[pa.Array], count: int, *, place: str, size: int
) -> list[tuple[SparseVectors, NDArray[np.bool_]]]:
    """Return each vector argument and whether it is null by row, which is an empty row.

    Raises DataError if a vector breaks an invariant of SparseVectors, UsageError for other arguments than vectors.
    """
    if len(columns) == count and all(_is_vector(column.type) for column in columns):
        pairs = [_fields(column) for column in columns]
    elif len(columns) == 2 * count and all(_is_list(column.type) for column in columns):
        pairs = [(columns[2 * n], columns[2 * n + 1]) for n in range(count)]
    else:
        each = "the vector" if count == 1 else f"each of the {count} vectors"
        wanted = f"wanted {each} as one argument, struct<indices, values>, or as two, the arrays indices and values"
        raise UsageError(place, _said_types(columns, count), wanted, "Give vectors that sl.encode made.")
    return [_checked(*pair, place=place, size=size) for pair in pairs]


def _said_types(columns: Sequence[pa.Array], count: int) -> str:
    """Return the wrong argument with its type, or all types if their number is not that of the vectors."""
    if len(columns) == count:
        number = next(n for n, column in enumerate(columns) if not _is_vector(column.type))
        return f"argument {number + 1} has the type {columns[number].type}"
    return f"the arguments have the types {', '.join(str(column.type) for column in columns)}"


def _checked(
    indices: pa.ListArray, values: pa.ListArray, *, place: str, size: int
) -> tuple[SparseVectors, NDArray[np.bool_]]:
    absent = np.asarray(indices.is_null()) | np.asarray(values.is_null())
    if absent.any():
        present = pa.array(~absent)
        indices, values = (pc.if_else(present, c, pa.scalar([], c.type)) for c in (indices, values))
    terms, weights = indices.flatten(), values.flatten()
    if terms.null_count or weights.null_count:
        fix = "Correct this row, or encode its text again."
        raise DataError(place, "indices or values hold a null", "wanted term ids and weights without nulls", fix)
    starts, value_starts = (_starts(column) for column in (indices, values))
    vectors = SparseVectors(
        starts,
        np.asarray(terms.cast(pa.int32()), dtype=np.int32),
        np.asarray(weights.cast(pa.float32()), dtype=np.float32),
    )
    check_vectors(vectors, vocabulary_size=size, place=place, value_indptr=value_starts)
    return vectors, absent


def _starts(column: pa.ListArray) -> NDArray[np.int64]:
    lengths = np.asarray(pc.list_value_length(column), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and {"indices", "values"} <= {field.name for field in kind}


def _fields(column: pa.StructArray) -> tuple[pa.ListArray, pa.ListArray]:
    """Return the two arrays of a vector column; null in the rows in which the vector is null."""
    by_name = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
    return by_name["indices"], by_name["values"]
