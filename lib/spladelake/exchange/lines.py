"""Documents as lines of text for the loaders of other engines, and back: one line, or two, per document."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spladelake.errors import DataError

# Terms as `LineFormat.names` returns them, or numbers as the shortest decimals that parse to the same value.
Texts = Sequence[str]

# Qdrant accepts only integers and UUIDs as ids. The UUID of a document is derived from its id.
QDRANT_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
# Name of the sparse vector in a Qdrant point, and of the field in OpenSearch and Elasticsearch.
FIELD = "splade"
# Most bytes of `_id` in OpenSearch and Elasticsearch, and of any term in Lucene (IndexWriter.MAX_TERM_LENGTH).
INDEX_ID, LUCENE_ID = 512, 32_766


@dataclass(frozen=True)
class LineFormat:
    """The text format of a document.

    - line: function of (doc_id, place, names of its terms, weights) that returns the text.
    - whole: whether weights are integers.
    - ids: whether terms are written by their number instead of their token.
    - numbered: whether the document is identified by its place in the collection instead of its id.
    - quoted: whether a term is a JSON string.
    - longest_id: most UTF-8 bytes of an id that the engine accepts; None for no limit.
    """

    line: Callable[[str, int, Texts, Texts], str]
    whole: bool = False
    ids: bool = False
    numbered: bool = False
    quoted: bool = True
    longest_id: int | None = None

    def names(self, tokens: Sequence[str]) -> list[str]:
        """Return the name of each dimension in a line. tokens: the tokens of the vocabulary, by dimension."""
        names = [str(number) for number in range(len(tokens))] if self.ids else tokens
        return [json.dumps(name) for name in names] if self.quoted else list(names)


def _mapping(terms: Texts, weights: Texts) -> str:
    return "{" + ", ".join(f"{term}: {weight}" for term, weight in zip(terms, weights, strict=True)) + "}"


def _anserini(doc_id: str, place: int, terms: Texts, weights: Texts) -> str:
    """Return a line for JsonVectorCollection of Anserini and Pyserini."""
    return f'{{"id": {json.dumps(doc_id)}, "contents": "", "vector": {_mapping(terms, weights)}}}'


def _seismic(doc_id: str, place: int, terms: Texts, weights: Texts) -> str:
    """Return a line for Seismic, which numbers its documents; the content carries the id."""
    return f'{{"id": {place}, "content": {json.dumps(doc_id)}, "vector": {_mapping(terms, weights)}}}'


def _bulk(doc_id: str, place: int, terms: Texts, weights: Texts) -> str:
    """Return two lines of a bulk request; the request names the index."""
    action = f'{{"index": {{"_id": {json.dumps(doc_id)}}}}}'
    return f'{action}\n{{"doc_id": {json.dumps(doc_id)}, "{FIELD}": {_mapping(terms, weights)}}}'


def _qdrant(doc_id: str, place: int, terms: Texts, weights: Texts) -> str:
    """Return a Qdrant point with one named sparse vector."""
    vector = f'{{"indices": [{", ".join(terms)}], "values": [{", ".join(weights)}]}}'
    point = uuid.uuid5(QDRANT_NAMESPACE, doc_id)
    return f'{{"id": "{point}", "vector": {{"{FIELD}": {vector}}}, "payload": {{"doc_id": {json.dumps(doc_id)}}}}}'


# OpenSearch's rank_features and Elasticsearch's sparse_vector allow no dot in the name of a feature, but "." is a token
# of most vocabularies. So their terms are written by number.
LINE_FORMATS: dict[str, LineFormat] = {
    "anserini": LineFormat(_anserini, whole=True, longest_id=LUCENE_ID),
    "seismic": LineFormat(_seismic, numbered=True),
    "opensearch": LineFormat(_bulk, ids=True, longest_id=INDEX_ID),
    "elasticsearch": LineFormat(_bulk, ids=True, longest_id=INDEX_ID),
    "qdrant": LineFormat(_qdrant, ids=True, quoted=False),
}


def parse_line(line: str, *, place: str, content_is_id: bool = False) -> tuple[str, dict[str, float]]:
    """Return (id, weight by term) of a line in Anserini's or Seismic's format.

    - place: the name of the line in errors.
    - content_is_id: whether the content of Seismic's lines is the id, as this package writes it, instead of the text.

    Raises DataError if the line has another format, or if a weight is not finite and above 0 as float32.
    """
    key, shown = ("content", "the document's id") if content_is_id else ("id", "…")
    try:
        record: Any = json.loads(line, object_pairs_hook=_each_once)
        doc_id = record[key]
        weights = {str(term): float(weight) for term, weight in record["vector"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            place,
            f"the line cannot be read as a vector: {_fault(error)}",
            f'wanted a line such as {{"{key}": {shown}, "vector": {{term: weight, …}}}}',
            "Correct the line, or choose another --input-format.",
        ) from None
    if isinstance(doc_id, bool) or not isinstance(doc_id, int | str):
        raise DataError(place, f"the id is {json.dumps(doc_id)}", "wanted a text or an integer", "Correct the id.")
    if doc_id == "":
        raise DataError(
            place, "the id is empty", "wanted an id of one or more characters", "Write an id into the line."
        )
    check_weights(weights, place=place)
    return str(doc_id), weights


def _fault(error: Exception) -> str:
    """Return the cause of an error while a line is read, without the words of Python."""
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return f"it is not JSON: {error}"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    if isinstance(error, ValueError) and "convert" not in str(error):
        return str(error)  # of _each_once; float() says that it cannot convert a text
    return "it is not an object whose vector has a number for each term"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict. Raises ValueError for a repeated name, of which json would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in found if names.count(name) > 1)!r} occurs twice")
    return found


def check_weights(weights: Mapping[str, float], *, place: str) -> None:
    """Raise DataError if a weight is not finite and above 0 as float32, the type in the table."""
    with np.errstate(over="ignore"):
        kept = np.fromiter(weights.values(), np.float64, len(weights)).astype(np.float32)
    wrong = np.flatnonzero(~((kept > 0) & np.isfinite(kept)))
    if len(wrong):
        term = list(weights)[wrong[0]]
        raise DataError(
            place,
            f"the term {term!r} has the weight {weights[term]}",
            "wanted a weight above 0 that is finite as float32",
            "Correct the weight, or leave out the term.",
        )
