"""One document as one line (or two) of text, as the loaders of other engines read it, and back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError

Terms = Sequence[str]
Numbers = NDArray[np.int64] | NDArray[np.float32]

# Qdrant takes whole numbers and UUIDs as ids: a document's is always the same one, made of its own id.
QDRANT_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
# Name of the sparse vector in a Qdrant point, and of the field in OpenSearch and Elasticsearch.
FIELD = "splade"


@dataclass(frozen=True)
class LineFormat:
    """How a document becomes text. whole: whether weights are whole numbers. ids: whether terms go by their number.

    numbered: whether the document is called by its place in the collection instead of its id.
    """

    line: Callable[[str, int, Terms, Numbers], str]
    whole: bool = False
    ids: bool = False
    numbered: bool = False
    suffix: str = "jsonl"


def _numbers(weights: Numbers) -> list[str]:
    """Shortest decimals that read back as the same float32, or whole numbers."""
    return [str(weight) for weight in weights]


def _mapping(terms: Terms, weights: Numbers) -> str:
    pairs = (f"{json.dumps(term)}: {number}" for term, number in zip(terms, _numbers(weights), strict=True))
    return "{" + ", ".join(pairs) + "}"


def _anserini(doc_id: str, place: int, terms: Terms, weights: Numbers) -> str:
    """JsonVectorCollection of Anserini and Pyserini."""
    return f'{{"id": {json.dumps(doc_id)}, "contents": "", "vector": {_mapping(terms, weights)}}}'


def _seismic(doc_id: str, place: int, terms: Terms, weights: Numbers) -> str:
    """Seismic numbers its documents; the id is carried as content."""
    return f'{{"id": {place}, "content": {json.dumps(doc_id)}, "vector": {_mapping(terms, weights)}}}'


def _bulk(doc_id: str, place: int, terms: Terms, weights: Numbers) -> str:
    """Two lines of a bulk request; the index is the one that the request names."""
    action = f'{{"index": {{"_id": {json.dumps(doc_id)}}}}}'
    return f'{action}\n{{"doc_id": {json.dumps(doc_id)}, "{FIELD}": {_mapping(terms, weights)}}}'


def _qdrant(doc_id: str, place: int, terms: Terms, weights: Numbers) -> str:
    """A point with one named sparse vector."""
    vector = f'{{"indices": [{", ".join(terms)}], "values": [{", ".join(_numbers(weights))}]}}'
    point = uuid.uuid5(QDRANT_NAMESPACE, doc_id)
    return f'{{"id": "{point}", "vector": {{"{FIELD}": {vector}}}, "payload": {{"doc_id": {json.dumps(doc_id)}}}}}'


# OpenSearch's rank_features and Elasticsearch's sparse_vector take no dot in the name of a feature, and "." is a token
# of most vocabularies: there terms go by number.
LINE_FORMATS: dict[str, LineFormat] = {
    "anserini": LineFormat(_anserini, whole=True),
    "seismic": LineFormat(_seismic, numbered=True),
    "opensearch": LineFormat(_bulk, ids=True),
    "elasticsearch": LineFormat(_bulk, ids=True),
    "qdrant": LineFormat(_qdrant, ids=True),
}


def parse_line(line: str, *, place: str) -> tuple[str, dict[str, float]]:
    """(id, weight of each term) of a line in Anserini's or Seismic's format; the id of Seismic's is its content if any.

    Raises DataError naming the place for anything else.
    """
    try:
        record: Any = json.loads(line)
        vector = record["vector"]
        doc_id = record.get("content") or record["id"] if isinstance(record["id"], int) else record["id"]
        weights = {str(term): float(weight) for term, weight in vector.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            place,
            f"it is no document with a vector ({type(error).__name__}: {error})",
            'wanted {"id": …, "vector": {term: weight, …}}',
            "Correct the line, or choose the right --input-format.",
        ) from None
    wrong = next((term for term, weight in weights.items() if not 0 < weight < float("inf")), None)
    if wrong is not None:
        raise DataError(
            place,
            f"term {wrong!r} has the weight {weights[wrong]}",
            "wanted finite weights above 0",
            "Correct the line.",
        )
    return str(doc_id), weights
