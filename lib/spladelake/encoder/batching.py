"""Which texts are tokenised together, and which go through the model together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.encoder.devices import is_out_of_memory, release_memory
from spladelake.encoder.sparse import concatenate
from spladelake.encoder.threads import ModelThreads
from spladelake.encoder.tokens import TokenIds
from spladelake.errors import MachineError
from spladelake.vectors import SparseVectors

logger = logging.getLogger(__name__)

# Texts and characters tokenised at once, while the model works on the texts before them.
WINDOW_TEXTS, WINDOW_CHARACTERS = 256, 4 * 2**20
# Texts of a batch at most: a head may hold a dense row of the vocabulary for each, 122 kB of 30,522 float32 numbers.
BATCH_TEXTS = 256
# Tokens below which a batch is not split to give every thread some work: starting one costs as much.
LEAST_TOKENS = 128
# Batches that wait for each thread, so that it never waits for the next one.
WAITING = 2

Tokenise = Callable[[Sequence[str]], tuple[list[TokenIds], NDArray[np.bool_]]]
Compute = Callable[[Sequence[TokenIds]], SparseVectors]


@dataclass(frozen=True, eq=False)
class Window:
    """Texts that were tokenised together.

    positions: int64, which of all texts these are. ids: token ids of each; an array of length 0 for a text that
    tokenises to nothing. cut: whether tokens were cut off. seconds: what tokenising took.
    """

    positions: NDArray[np.int64]
    ids: list[TokenIds]
    cut: NDArray[np.bool_]
    seconds: float

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.array([len(of_text) for of_text in self.ids], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that went through the model together. positions: int64, which of all texts, in the order of the vectors."""

    positions: NDArray[np.int64]
    vectors: SparseVectors
    padded_tokens: int


class TokenBudget:
    """Tokens of a batch at most, padding included; halved when memory runs out."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def halve(self, tried: int) -> None:
        """Allow half of what was tried and did not fit."""
        self.tokens = max(1, min(self.tokens, tried) // 2)
        logger.warning("out of memory with a batch of %d tokens; going on with at most %d", tried, self.tokens)


@dataclass(frozen=True)
class Runner:
    """Runs batches through a model. pads: whether every text of a batch is computed at the length of the longest."""

    compute: Compute
    budget: TokenBudget
    threads: ModelThreads
    pads: bool

    def run(self, windows: Iterator[Window]) -> Iterator[Batch]:
        """Encode the texts of all windows that have tokens.

        The caller's thread reads the windows, so tokenising goes on while the model runs. Raises MachineError when a
        single text does not fit into memory.
        """
        waiting: deque[Future[Batch]] = deque()
        try:
            for window in windows:
                for chosen in self.plan(window.lengths):
                    ids = [window.ids[i] for i in chosen]
                    waiting.append(self.threads.submit(self._encode, window.positions[chosen], ids))
                    while len(waiting) > WAITING * self.threads.count:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def plan(self, lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Places of the texts of each batch: similar lengths together, the longest first, all that have tokens."""
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        share = max(LEAST_TOKENS, -(-int(lengths.sum()) // self.threads.count))
        start = 0
        while start < len(order):
            count = batch_size(lengths[order[start:]], min(self.budget.tokens, share), pads=self.pads)
            yield order[start : start + count]
            start += count

    def _encode(self, positions: NDArray[np.int64], ids: list[TokenIds]) -> Batch:
        """One batch; in halves when it does not fit into memory."""
        size = len(ids[0]) * len(ids) if self.pads else sum(map(len, ids))
        vectors = _within_memory(self.compute, ids)
        if vectors is not None:
            return Batch(positions, vectors, size)
        if len(ids) == 1:
            raise MachineError(
                "memory",
                f"one text of {size} tokens does not fit beside the model",
                "the model needs room for its longest text",
                "Use a machine or device with more memory, or a smaller max_length.",
            )
        self.budget.halve(size)
        middle = len(ids) // 2
        halves = [self._encode(positions[:middle], ids[:middle]), self._encode(positions[middle:], ids[middle:])]
        padded_tokens = sum(half.padded_tokens for half in halves)
        return Batch(positions, concatenate([half.vectors for half in halves]), padded_tokens)


def read_windows(texts: Sequence[str], tokenise: Tokenise) -> Iterator[Window]:
    """Tokenise all texts that are not empty, texts of similar length together, the longest first."""
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    start = 0
    while start < len(order):
        characters = np.cumsum(sizes[order[start : start + WINDOW_TEXTS]])
        count = max(1, int(np.searchsorted(characters, WINDOW_CHARACTERS, side="right")))
        positions = order[start : start + count]
        began = time.perf_counter()
        ids, cut = tokenise([texts[i] for i in positions])
        yield Window(positions, ids, cut, time.perf_counter() - began)
        start += count


def batch_size(lengths: NDArray[np.int64], budget: int, *, pads: bool) -> int:
    """How many of the texts, longest first, fit into a budget of tokens; one always does."""
    ahead = lengths[:BATCH_TEXTS]
    sizes = ahead[0] * np.arange(1, len(ahead) + 1) if pads else np.cumsum(ahead)
    return max(1, int(np.searchsorted(sizes, budget, side="right")))


def _within_memory(compute: Compute, ids: list[TokenIds]) -> SparseVectors | None:
    """What compute returns, None when memory ran out."""
    try:
        return compute(ids)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the except clause, so that the failed call's tensors are no longer held by the traceback.
    release_memory()
    return None
