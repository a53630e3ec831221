"""The function that splits documents into passages inside a Python worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from spladelake.passages import MOST_PASSAGES, Passage, PassageSettings, TooManyPassagesError, passage_id
from spladelake.spark.encode.models import ModelCache
from spladelake.spark.encode.tolerant import reason_of
from spladelake.spark.tables.schemas import PASSAGE_TEXTS

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint
    from spladelake.encoder.passages import Splitter

# Passages in an Arrow batch: a few MB. A long document makes many batches.
ROWS_AT_ONCE = 2_048


@dataclass(frozen=True)
class SplitterSpec:
    """The splitter that a worker needs."""

    checkpoint: Checkpoint
    settings: PassageSettings

    def load(self, *, threads: int | None, device: str | None) -> Splitter:
        """Verify the model's files and load its tokenizer."""
        from spladelake.encoder.passages import Splitter

        return Splitter.load(self.checkpoint, self.settings)


splitters: ModelCache[Splitter] = ModelCache()


@dataclass(frozen=True)
class SplitDocuments:
    """The function given to mapInArrow: (id, title, text, text_sha256, repaired, reason) to rows of PASSAGE_TEXTS.

    A document that comes with a reason, or that the tokenizer fails on, gets a row with the reason.
    """

    loads_model: ClassVar[bool] = True
    spec: SplitterSpec

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        splitter: Splitter | None = None
        rows: list[dict[str, Any]] = []
        for batch in batches:
            splitter = splitter or splitters.get(self.spec)[0]
            for document in batch.to_pylist():
                for row in passage_rows(splitter, document):
                    rows.append(row)
                    if len(rows) == ROWS_AT_ONCE:
                        yield pa.RecordBatch.from_pylist(rows, schema=PASSAGE_TEXTS.arrow)
                        rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=PASSAGE_TEXTS.arrow)


def passage_rows(splitter: Splitter, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a document."""
    if document["reason"] is not None:
        yield _row(document, 0, Passage(0, 0, None), document["reason"])
        return
    number = 0
    try:
        for passage in splitter.split(document["title"], document["text"]):
            yield _row(document, number, passage, None)
            number += 1
    except TooManyPassagesError:
        why = f"the text has more passages than the limit of {MOST_PASSAGES:,}"
        yield _row(document, number, Passage(0, 0, None), why)
    except Exception as error:
        yield _row(document, number, Passage(0, 0, None), reason_of(error))


def _row(document: dict[str, Any], number: int, passage: Passage, reason: str | None) -> dict[str, Any]:
    text = passage.text
    return {
        "id": passage_id(document["id"], number),
        "text": text,
        "text_sha256": None if text is None else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        "repaired": document["repaired"],
        "reason": reason,
        "doc_id": document["id"],
        "passage": number,
        "start": passage.start,
        "end": passage.end,
        "doc_sha256": document["text_sha256"],
    }
