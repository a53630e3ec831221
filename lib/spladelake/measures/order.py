"""The rank of every document of one query, ties included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.measures.named import Convention


def rank_order(scores: NDArray[np.float64], doc_ids: Sequence[str], convention: Convention) -> NDArray[np.int64]:
    """Positions of the documents from rank 1 on: the score descending, then the id.

    scores: float64 (documents), no NaN, else DataError. Ids compare as strings, code point by code point; equal scores
    go by ascending id in sentence-transformers (since 6.0), by descending id in trec_eval. trec_eval up to 9.0.8, and
    pytrec_eval with it, holds scores as float32: round them so first to reproduce the ties that makes.
    """
    if np.isnan(scores).any():
        doc_id = doc_ids[int(np.isnan(scores).argmax())]
        fix = "Find the vector with this weight and encode its text again."
        raise DataError(f"document {doc_id}", "its score is not a number", "wanted a finite number", fix)
    # Two stable sorts, as numpy's fixed-width strings would drop NULs at the end of ids and pad all to the longest.
    descending = convention == "trec_eval"
    by_id = np.array(sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=descending), dtype=np.int64)
    return by_id[np.argsort(-scores[by_id], kind="stable")]
