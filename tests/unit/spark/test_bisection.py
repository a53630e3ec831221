"""A text that the model fails on is found, whatever stands beside it, and every other text keeps its vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spladelake.encoder.results import EncodedBatch, EncodeStats
from spladelake.errors import MachineError
from spladelake.spark.encode.tolerant import TolerantEncoder
from spladelake.vectors import SparseVectors

PRIVATE = "words of a private letter"


class CountingEncoder:
    """Encodes a text as its length at term 0, and fails on those it is told to."""

    def __init__(self, failing: set[str], error: type[BaseException] = ValueError) -> None:
        self.failing, self.error, self.calls = failing, error, 0

    def encode(self, texts: Sequence[str | None], *, kind: str = "document") -> EncodedBatch:
        self.calls += 1
        if self.failing & {text for text in texts if text is not None}:
            raise self.error(PRIVATE)
        rows = [([0], [float(len(text))]) if text else ([], []) for text in texts]
        lengths = np.array([len(text or "") for text in texts], dtype=np.int32)
        status = ["ok" if text else "null" for text in texts]
        return EncodedBatch(
            SparseVectors.from_rows(rows), lengths, np.zeros(len(texts), bool), status, EncodeStats(len(texts))
        )


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_exactly_the_failing_texts_have_a_reason_and_all_others_their_own_vector(fails: list[bool]) -> None:
    texts = [f"{'x' * n} {n}" for n in range(len(fails))]
    bad = {text for text, fault in zip(texts, fails, strict=True) if fault}
    tolerant = TolerantEncoder(CountingEncoder(bad))
    found = tolerant.encode(texts)
    assert set(tolerant.reasons) == bad
    assert len(found.vectors) == len(found.status) == len(found.tokens) == len(texts)
    for n, text in enumerate(texts):
        wanted = [] if text in bad else [float(len(text))]
        assert found.vectors.row(n)[1].tolist() == wanted


def test_one_bad_text_among_many_costs_a_few_calls_not_one_for_each() -> None:
    texts = [f"text {n}" for n in range(1024)]
    encoder = CountingEncoder({"text 700"})
    TolerantEncoder(encoder).encode(texts)
    assert encoder.calls <= 2 * math.log2(1024) + 2


def test_the_reason_does_not_quote_the_text() -> None:
    tolerant = TolerantEncoder(CountingEncoder({"bad"}))
    tolerant.encode(["good", "bad"])
    assert tolerant.reasons == {"bad": "the model failed on the text: ValueError in encode"}


def test_what_is_no_fault_of_a_text_is_raised() -> None:
    class OutOfMemoryError(MachineError):
        def __init__(self, message: str) -> None:
            super().__init__("memory", message, "", "")

    for error in (OutOfMemoryError, KeyboardInterrupt):
        with pytest.raises(error):
            TolerantEncoder(CountingEncoder({"bad"}, error)).encode(["good", "bad"])


def test_a_panic_of_a_tokenizers_rust_code_is_the_texts_fault() -> None:
    panic = type("PanicException", (BaseException,), {})
    tolerant = TolerantEncoder(CountingEncoder({"bad"}, panic))
    tolerant.encode(["good", "bad"])
    assert set(tolerant.reasons) == {"bad"}
