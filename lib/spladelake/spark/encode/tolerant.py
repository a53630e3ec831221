"""Find the texts on which a model fails by halving the batch, and encode all other texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spladelake.errors import MachineError, SpladelakeError, UsageError

if TYPE_CHECKING:
    from spladelake.encoder import EncodedBatch
    from spladelake.encoder.saved.modules import Kind


class AnyEncoder(Protocol):
    """An encoder of this process, or a wrapper around one."""

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """As `SpladeEncoder.encode`."""
        ...


@dataclass
class TolerantEncoder:
    """An encoder that gives an empty vector to each text on which the model fails, and adds why to `reasons`, by text.

    Raises MachineError and UsageError: too little memory or changed model files are no fault of a text.
    """

    encoder: AnyEncoder
    reasons: dict[str | None, str] = field(default_factory=dict)

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """As `SpladeEncoder.encode`, with an empty vector for each text on which the model fails."""
        try:
            return self.encoder.encode(texts, kind=kind)
        except (MachineError, UsageError):
            raise
        except Exception as error:
            failure: BaseException = error
        except BaseException as error:
            # If a tokenizer's Rust code panics, it raises an error that is not an Exception.
            if type(error).__name__ != "PanicException":
                raise
            failure = error
        if len(texts) > 1:
            middle = len(texts) // 2
            return joined(self.encode(texts[:middle], kind=kind), self.encode(texts[middle:], kind=kind))
        self.reasons[texts[0]] = reason_of(failure)
        return self.encoder.encode([None], kind=kind)


def reason_of(failure: BaseException) -> str:
    """Describe a failure in one line, without its message, which may quote the text."""
    if isinstance(failure, SpladelakeError):
        return f"the model failed on the text: {failure.found}"
    where = failure.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" in {where.tb_frame.f_code.co_name}" if where is not None else ""
    return f"the model failed on the text: {type(failure).__name__}{place}"


def joined(first: EncodedBatch, second: EncodedBatch) -> EncodedBatch:
    """Return the rows of two batches as one batch."""
    from spladelake.encoder.results import EncodedBatch
    from spladelake.encoder.sparse import concatenate

    return EncodedBatch(
        concatenate([first.vectors, second.vectors]),
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.truncated, second.truncated]),
        [*first.status, *second.status],
        first.stats + second.stats,
    )
