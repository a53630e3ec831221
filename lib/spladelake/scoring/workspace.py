"""The memory in which a block is scored.

Each thread keeps its own: to get it anew for each block can take longer than to score one query.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.compiled import part
from spladelake.scoring.exact import MOST_HITS, Hits
from spladelake.scoring.totals import CHUNK, ScoreTotals

# Bytes of a document: units, rests, number among the chosen, and whether it shares a term.
ZEROED_BYTES = 8 + 8 + 4 + 1
# Bytes of a hit: place, document and weight.
HIT_BYTES = 4 + 4 + 8

_of_thread = threading.local()


def workspace(documents: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the memory of this thread for blocks of that many documents: bytes that are all 0, and other bytes."""
    kept: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = getattr(_of_thread, "memory", None)
    if kept is None or len(kept[0]) < documents * ZEROED_BYTES:
        kept = np.zeros(documents * ZEROED_BYTES, dtype=np.uint8), np.empty(MOST_HITS * HIT_BYTES, dtype=np.uint8)
        _of_thread.memory = kept
    return kept


@part
def totals_in(zeroed: Any, documents: int) -> ScoreTotals:
    """Return the totals of a block. zeroed: uint8, all 0; the totals are all 0 again between calls."""
    eight, last = 8 * documents, 20 * documents
    return ScoreTotals(
        zeroed[:eight].view(np.int64), zeroed[eight : 2 * eight].view(np.int64), zeroed[last : last + documents],
        np.empty(CHUNK, np.float64), np.empty(CHUNK, np.float64),
    )  # fmt: skip


@part
def hits_in(zeroed: Any, memory: Any, documents: int) -> Hits:
    """Return an empty list of hits. zeroed: uint8, all 0; the numbers of the documents are all 0 between calls."""
    four, eight = 4 * MOST_HITS, 8 * MOST_HITS
    return Hits(
        memory[:four].view(np.int32), memory[four:eight].view(np.int32), memory[eight : 2 * eight].view(np.float64),
        zeroed[16 * documents : 20 * documents].view(np.int32),
    )  # fmt: skip
