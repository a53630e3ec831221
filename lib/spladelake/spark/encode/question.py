"""A question in free text: the vector that a vectoriser makes of it, and what it may need of the collection."""

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
    """What a model learnt from the documents of a lake, as the tables of its vectors hold it.

    - lake, name: where the vectors are.
    - properties: of the document vectors' table; None if there is no such table.
    - vocabulary_model_id: model that the vocabulary's table names.
    - term_ids: gives the term id of each word that the vocabulary has.
    """

    lake: Lake
    name: str
    properties: Mapping[str, str] | None
    vocabulary_model_id: str | None
    term_ids: Callable[[Sequence[str]], Mapping[str, int]]
