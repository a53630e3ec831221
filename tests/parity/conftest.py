"""Models and texts that are compared with those of outside libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spladelake.encoder import SpladeEncoder
from spladelake.vectors import SparseVectors
from support.collections import collection


@pytest.fixture(scope="module", autouse=True)
def small_models(one_thread_of_torch: None) -> None:
    """All models of these tests are small, and both sides of a comparison add up in the same order."""


@pytest.fixture(scope="session")
def collection_texts() -> Callable[..., list[str]]:
    """Texts of a collection: name, file and slice; skips the test where the collection is absent."""

    def read(name: str, *, file: str = "corpus.jsonl", chosen: slice = slice(None)) -> list[str]:
        lines = (collection(name) / file).read_text(encoding="utf-8").split("\n")
        return [json.loads(line)["text"] for line in lines[chosen] if line]

    return read


@pytest.fixture(scope="session")
def tiny() -> SpladeEncoder:
    """splade-tiny as this package encodes it."""
    return SpladeEncoder.load("splade-tiny", device="cpu")


@pytest.fixture(scope="session")
def reference(tiny: SpladeEncoder) -> Any:
    """splade-tiny as sentence-transformers encodes it."""
    from sentence_transformers import SparseEncoder

    return SparseEncoder(tiny.checkpoint.folder, device="cpu")


@pytest.fixture(scope="session")
def assert_same_vectors() -> Callable[..., None]:
    """Compare sparse rows with dense rows from outside: same support above 1e-4, weights within 1e-4.

    The tolerance is that of two float32 computations in different orders; what is measured stays below 1e-5.
    """

    def check(found: SparseVectors, wanted: np.ndarray, tolerance: float = 1e-4) -> None:
        dense = np.zeros_like(wanted)
        for row in range(len(found)):
            indices, values = found.row(row)
            dense[row, indices] = values
        assert np.abs(dense - wanted).max(initial=0.0) <= tolerance
        certain = np.abs(wanted - tolerance) > tolerance  # a weight right at the threshold may fall on either side
        assert ((dense > tolerance) == (wanted > tolerance))[certain].all()

    return check
