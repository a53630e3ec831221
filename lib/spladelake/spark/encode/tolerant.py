"""Texts that make a model fail: found by halving the batch, while all others are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spladelake.errors import MachineError, SpladelakeError, UsageError

if TYPE_CHECKING:
    from spladelake.encoder import EncodedBatch
    from spladelake.encoder.routes import Kind


class AnyEncoder(Protocol):
    """What encodes texts: the encoder of this process, or one that stands before it."""

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """As `SpladeEncoder.encode`."""
        ...


@dataclass
class TolerantEncoder:
    """An encoder that gives a text it fails on an empty vector, and says why in `reasons`, by text.

    A machine without memory, or a model whose files changed, is no fault of a text: those errors are raised.
    """

    encoder: AnyEncoder
    reasons: dict[str | None, str] = field(default_factory=dict)

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """As `SpladeEncoder.encode`, of all texts that the model can take."""
        try:
            return self.encoder.encode(texts, kind=kind)
        except (MachineError, UsageError):
            raise
        except Exception as error:
            failure: BaseException = error
        except BaseException as error:
            # What Rust code of a tokenizer raises where it panics is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            failure = error
        if len(texts) > 1:
            middle = len(texts) // 2
            return joined(self.encode(texts[:middle], kind=kind), self.encode(texts[middle:], kind=kind))
        self.reasons[texts[0]] = reason_of(failure)
        return self.encoder.encode([None], kind=kind)


def reason_of(failure: BaseException) -> str:
    """The failure in one line, without a word of the text it may quote."""
    if isinstance(failure, SpladelakeError):
        return f"the model failed on the text: {failure.found}"
    where = failure.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" in {where.tb_frame.f_code.co_name}" if where is not None else ""
    return f"the model failed on the text: {type(failure).__name__}{place}"


def joined(first: EncodedBatch, second: EncodedBatch) -> EncodedBatch:
    """Two batches as one, row after row."""
    from spladelake.encoder.results import EncodedBatch
    from spladelake.encoder.sparse import concatenate

    return EncodedBatch(
        concatenate([first.vectors, second.vectors]),
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.truncated, second.truncated]),
        [*first.status, *second.status],
        first.stats + second.stats,
    )
