"""Functions that run in a Python worker to write vectors for other engines and to read their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark import Broadcast

from spladelake.errors import DataError
from spladelake.exchange import LINE_FORMATS, PostingsList, Quantiser, parse_line
from spladelake.exchange.ciff import postings_message
from spladelake.exchange.lines import check_weights
from spladelake.spark.encode.worker import VECTOR_BATCH

LINE_DDL = "line string"
MESSAGE_DDL = "term string, message binary"
LENGTH_DDL = "id string, length long"
PARSED_DDL = "id string, terms array<string>, weights array<float>"
_PARSED = pa.schema([("id", pa.string()), ("terms", pa.list_(pa.string())), ("weights", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class Lines:
    """The function for mapInArrow: turns (id, indices, values, place) rows into one text per document."""

    name: str
    tokens: Broadcast[list[str]]
    quantiser: Quantiser | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        made = LINE_FORMATS[self.name]
        names = made.names(self.tokens.value)
        for batch in batches:
            lines = []
            terms = [names[term] for term in batch.column("indices").flatten().to_pylist()]
            weights = batch.column("values").flatten()
            if self.quantiser is not None:
                weights = pa.array(self.quantiser.impacts(weights.to_numpy()))
            numbers = weights.cast(pa.string()).to_pylist()
            start = 0
            columns = (batch.column("id"), batch.column("place"), batch.column("indices").value_lengths())
            for doc_id, place, length in zip(*(column.to_pylist() for column in columns), strict=True):
                end = start + length
                lines.append(made.line(doc_id, place, terms[start:end], numbers[start:end]))
                start = end
            yield pa.RecordBatch.from_arrays([pa.array(lines, pa.string())], names=["line"])


@dataclass(frozen=True)
class PostingsMessages:
    """The function for mapInArrow: turns (term, postings) rows into messages of CIFF.

    postings: array<struct<place, weight>>, ascending by place.
    """

    quantiser: Quantiser

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            messages = []
            for row, term in enumerate(batch.column("term").to_pylist()):
                postings = batch.column("postings")[row].values
                places = postings.field("place").to_numpy().astype(np.int64)
                weights = postings.field("weight").to_numpy().astype(np.float32)
                messages.append(postings_message(PostingsList(term, places, self.quantiser.impacts(weights))))
            columns = [batch.column("term"), pa.array(messages, pa.binary())]
            yield pa.RecordBatch.from_arrays(columns, names=["term", "message"])


@dataclass(frozen=True)
class ImpactSums:
    """The function for mapInArrow: turns (id, values) rows into (id, length), the sum of the document's impacts."""

    quantiser: Quantiser

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = batch.column("values")
            impacts = self.quantiser.impacts(lists.flatten().to_numpy())
            sums = np.concatenate([[0], np.cumsum(impacts)])
            ends = np.cumsum(lists.value_lengths().to_numpy())
            lengths = sums[ends] - sums[np.concatenate([[0], ends[:-1]]).astype(np.int64)] if len(ends) else ends
            columns = [batch.column("id"), pa.array(lengths.astype(np.int64))]
            yield pa.RecordBatch.from_arrays(columns, names=["id", "length"])


@dataclass(frozen=True)
class ParseVectors:
    """The function for mapInArrow: turns (file, line) rows into (id, terms, weights).

    Raises DataError if a line is not a document. content_is_id: see `parse_line`.
    """

    content_is_id: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = []
            for file, line in zip(batch.column("file").to_pylist(), batch.column("line").to_pylist(), strict=True):
                if line.strip():
                    place = f"{file}: {line[:60]!r}"
                    doc_id, weights = parse_line(line, place=place, content_is_id=self.content_is_id)
                    rows.append((doc_id, list(weights), list(weights.values())))
            columns = list(zip(*rows, strict=True)) or [(), (), ()]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, _PARSED, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=_PARSED)


@dataclass(frozen=True)
class ToVectors:
    """The function for mapInArrow: turns (id, terms, weights) rows into rows of a vectors table.

    Further columns, which say the places of passages, stay as they are.

    - numbers: the number of each term in the vocabulary.
    - step: weight of one unit.
    - model_id: written to every row.
    - place: the name of the input in errors.
    """

    numbers: Broadcast[dict[str, int]]
    step: float
    model_id: str
    place: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [
                self._row(*row) for row in zip(*(batch.column(name).to_pylist() for name in _PARSED.names), strict=True)
            ]
            columns = list(zip(*rows, strict=True)) or [() for _ in VECTOR_BATCH]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, VECTOR_BATCH, strict=True)]
            further = [field for field in batch.schema if field.name not in _PARSED.names]
            arrays += [batch.column(field.name) for field in further]
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema([*VECTOR_BATCH, *further]))

    def _row(self, doc_id: str, terms: list[str], weights: list[float]) -> tuple[object, ...]:
        numbers = self.numbers.value
        unknown = next((term for term in terms if term not in numbers), None)
        if unknown is not None:
            raise DataError(
                f"{self.place}, id {doc_id!r}",
                f"the vocabulary of --like has no term {unknown!r}",
                "wanted only terms of this vocabulary",
                "Leave out --like, or set --like to vectors of the model that made --input.",
            )
        given = [weight * self.step for weight in weights]
        check_weights(dict(zip(terms, given, strict=True)), place=f"{self.place}, id {doc_id!r}")
        pairs = sorted(zip((numbers[term] for term in terms), given, strict=True))
        scaled = [float(np.float32(weight)) for _, weight in pairs]
        status = "ok" if pairs else "empty"
        return doc_id, [number for number, _ in pairs], scaled, 0, False, None, status, self.model_id
