"""Group texts: into windows that are tokenised together, and into batches that go through the model together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

# Most texts and characters of a window. A window is tokenised while the model computes the window before it.
WINDOW_TEXTS, WINDOW_CHARACTERS = 256, 4 * 2**20
# Most texts of a batch. A head may hold a dense row for each text: 122 kB for 30,522 terms in float32.
BATCH_TEXTS = 256
# A batch of fewer tokens is not split to give every thread some work: to start a batch costs as much.
LEAST_TOKENS = 128
# Batches in the queue of each thread, so that no thread waits for its next batch.
WAITING = 2

Tokenise = Callable[[Sequence[str]], tuple[list[TokenIds], NDArray[np.bool_]]]
Compute = Callable[[Sequence[TokenIds]], SparseVectors]


@dataclass(frozen=True, eq=False)
class Window:
    """Texts that were tokenised together.

    - positions: int64, the position of each text among all texts.
    - ids: token ids of each text; an array of length 0 for a text without tokens.
    - cut: whether each text was cut.
    """

    positions: NDArray[np.int64]
    ids: list[TokenIds]
    cut: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of tokens of each text."""
        return np.array([len(of_text) for of_text in self.ids], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that went through the model together.

    - positions: int64, the position of each text among all texts, in the order of the vectors.
    - lengths, cut: as in `Window`, of these texts.
    - padded_tokens: number of computed tokens, padding included.
    """

    positions: NDArray[np.int64]
    lengths: NDArray[np.int64]
    cut: NDArray[np.bool_]
    vectors: SparseVectors
    padded_tokens: int


class TokenBudget:
    """The most tokens of a batch, padding included. It is halved if memory runs out."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def halve(self, tried: int) -> None:
        """Allow half of the tokens that did not fit.

        - tried: tokens of the batch that did not fit.
        """
        self.tokens = max(1, min(self.tokens, tried) // 2)
        logger.warning(
            "a batch of %d tokens does not fit into memory; the next batches have at most %d tokens", tried, self.tokens
        )


@dataclass(frozen=True)
class Runner:
    """Runs batches through a model.

    - pads: whether all texts of a batch are computed at the length of the longest.
    """

    compute: Compute
    budget: TokenBudget
    threads: ModelThreads
    pads: bool

    def run(self, windows: Iterable[Window]) -> Iterator[Batch]:
        """Encode the texts of all windows, except texts without tokens.

        The caller's thread reads the windows, so it tokenises while the model runs.

        Raises MachineError if one text alone does not fit into memory.
        """
        waiting: deque[Future[Batch]] = deque()
        try:
            for window in windows:
                for chosen in self.plan(window.lengths):
                    waiting.append(self.threads.submit(self._encode, window, chosen))
                    while len(waiting) > WAITING * self.threads.count:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def plan(self, lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield the places of the texts of each batch: texts of similar length, the longest first.

        Texts without tokens are in no batch.
        """
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        share = max(LEAST_TOKENS, -(-int(lengths.sum()) // self.threads.count))
        start = 0
        while start < len(order):
            count = batch_size(lengths[order[start:]], min(self.budget.tokens, share), pads=self.pads)
            yield order[start : start + count]
            start += count

    def _encode(self, window: Window, chosen: NDArray[np.int64]) -> Batch:
        """Encode one batch, in halves if it does not fit into memory.

        - chosen: places in the window, the longest text first.
        """
        ids = [window.ids[i] for i in chosen]
        lengths = np.array([len(of_text) for of_text in ids], dtype=np.int64)
        size = int(lengths[0]) * len(ids) if self.pads else int(lengths.sum())
        vectors = _within_memory(self.compute, ids)
        if vectors is None:
            vectors, size = self._in_halves(window, chosen, size)
        return Batch(window.positions[chosen], lengths, window.cut[chosen], vectors, size)

    def _in_halves(self, window: Window, chosen: NDArray[np.int64], size: int) -> tuple[SparseVectors, int]:
        """Return (vectors, padded tokens) of a batch that did not fit into memory.

        - size: computed tokens of the batch.
        """
        if len(chosen) == 1:
            raise MachineError(
                "memory",
                f"one text of {size} tokens does not fit into memory together with the model",
                "wanted memory for the longest text",
                "Use a machine or device with more memory, or a smaller maximum length (--max-length).",
            )
        self.budget.halve(size)
        halves = [self._encode(window, half) for half in np.array_split(chosen, 2)]
        return concatenate([half.vectors for half in halves]), sum(half.padded_tokens for half in halves)


class WindowReader:
    """Tokenises all texts that are not empty: texts of similar length together, the longest first.

    - seconds: time of tokenising so far.
    """

    def __init__(self, texts: Sequence[str], tokenise: Tokenise) -> None:
        self._texts, self._tokenise, self.seconds = texts, tokenise, 0.0

    def __iter__(self) -> Iterator[Window]:
        sizes = np.array([len(text) for text in self._texts], dtype=np.int64)
        order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        start = 0
        while start < len(order):
            characters = np.cumsum(sizes[order[start : start + WINDOW_TEXTS]])
            count = max(1, int(np.searchsorted(characters, WINDOW_CHARACTERS, side="right")))
            positions = order[start : start + count]
            began = time.perf_counter()
            ids, cut = self._tokenise([self._texts[i] for i in positions])
            self.seconds += time.perf_counter() - began
            yield Window(positions, ids, cut)
            start += count


def batch_size(lengths: NDArray[np.int64], budget: int, *, pads: bool) -> int:
    """Return how many of the texts, the longest first, fit into a budget of tokens; at least 1."""
    ahead = lengths[:BATCH_TEXTS]
    sizes = ahead[0] * np.arange(1, len(ahead) + 1) if pads else np.cumsum(ahead)
    return max(1, int(np.searchsorted(sizes, budget, side="right")))


def _within_memory(compute: Compute, ids: list[TokenIds]) -> SparseVectors | None:
    """Return the result of `compute`; None if memory ran out."""
    try:
        return compute(ids)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside of the except clause: inside, the traceback would still hold the tensors of the failed call.
    release_memory()
    return None
