"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def token_batches(lengths: NDArray[np.int64], *, token_budget: int, most_texts: int) -> Iterator[NDArray[np.int64]]:
    """Positions of the texts of each batch, similar lengths together, longest first.

    A batch's padded size, texts times its longest length, stays within token_budget, except that one text is always
    taken. lengths: int64 (texts), from 1. most_texts: texts of a batch at most.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, min(token_budget // int(lengths[order[start]]), most_texts))
        yield order[start : start + count]
        start += count
