"""A free-text question: its vector, and the collection's data that a vectoriser may need to encode it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spladelake.spark.tables.refs import Lake
from spladelake.vectors import SparseVectors


@dataclass(frozen=True)
class Question:
    """A question as a vector, and the model that made it."""

    vector: SparseVectors
    model_id: str


@dataclass(frozen=True)
class Learnt:
    """The data that a model learnt from a lake's documents, read from the tables of its vectors.

    - lake, name: lake and name of the vectors.
    - properties: properties of the document vectors' table; None if there is no such table.
    - vocabulary_model_id: model_id in the properties of the vocabulary's table.
    - term_ids: function that returns the term id of each given word that the vocabulary has.
    """

    lake: Lake
    name: str
    properties: Mapping[str, str] | None
    vocabulary_model_id: str | None
    term_ids: Callable[[Sequence[str]], Mapping[str, int]]
