"""A text that ends the process that encodes it is found, and costs no other text its vector."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.encoder import SpladeEncoder, resolve_checkpoint
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.isolated import IsolatedEncoder
from spladelake.spark.encode.models import Share
from spladelake.spark.encode.tolerant import TolerantEncoder
from support.ledger import LEDGER
from support.processes import crashing_on


@pytest.mark.faults
@pytest.mark.slow
def test_a_text_that_ends_its_process_has_a_reason_and_all_others_the_vectors_of_the_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in crashing_on("poison").items():
        monkeypatch.setenv(name, value)
    texts = ["bread and water", "poison"]
    spec = WorkerSpec(resolve_checkpoint("splade-tiny"), token_budget=None)
    with IsolatedEncoder(spec, Share(threads=1, device="cpu")) as isolated:
        tolerant = TolerantEncoder(isolated)
        found = tolerant.encode(texts)
    LEDGER.injected("SIGSEGV in the encoder, on one text")
    ended = "the model failed on the text: the process that encoded the text ended with signal 11"
    assert tolerant.reasons == {"poison": ended}
    indices, values = SpladeEncoder.load("splade-tiny", threads=1).encode(texts[:1]).vectors.row(0)
    assert found.vectors.row(0)[0].tolist() == indices.tolist()
    assert np.allclose(found.vectors.row(0)[1], values, atol=1e-5, rtol=0)
    assert len(found.vectors.row(1)[0]) == 0
