"""The rank of every document of one query, ties included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.measures.named import Convention


def rank_order(scores: NDArray[np.float64], doc_ids: Sequence[str], convention: Convention) -> NDArray[np.int64]:
    """Return the positions of the documents in rank order, best first: by descending score, then by id.

    - scores: float64 (documents). trec_eval up to 9.0.8, and with it pytrec_eval, holds scores as float32: round them
      to float32 first to reproduce its ties.
    - doc_ids: compared as strings, code point by code point.
    - convention: equal scores go by ascending id in sentence-transformers (since 6.0), by descending id in trec_eval.

    Raises DataError if a score is NaN.
    """
    if np.isnan(scores).any():
        doc_id = doc_ids[int(np.isnan(scores).argmax())]
        fix = "Correct the score, or leave out the document."
        raise DataError(
            f"document {doc_id}", "the score of the document is not a number", "wanted a finite number", fix
        )
    # Python sorts the ids: numpy's fixed-width strings drop NULs at the end and pad every id to the longest.
    descending = convention == "trec_eval"
    by_id = np.array(sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=descending), dtype=np.int64)
    return by_id[np.argsort(-scores[by_id], kind="stable")]
