"""Scores of pairs are those of sentence-transformers' CrossEncoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import CrossEncoder as Reference

from spladelake.errors import UsageError
from spladelake.reranker import CrossEncoder, resolve_cross_encoder
from support.cross_encoders import LENGTH, PAIRS, write_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tmp_path_factory.mktemp("cross") / "model")


@pytest.mark.parametrize("activation", [None, "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"])
def test_scores_equal_sentence_transformers_with_its_activation(tmp_path: Path, activation: str | None) -> None:
    saved = {} if activation is None else {"sentence_transformers": {"activation_fn": activation}}
    folder = write_cross_encoder(tmp_path / "model", **saved)
    wanted = Reference(str(folder), device="cpu").predict(PAIRS, show_progress_bar=False)
    found = CrossEncoder.load(str(folder), device="cpu", token_budget=256).score(PAIRS)
    # float32 sums in another order, as batches are padded otherwise.
    assert found.scores == pytest.approx(wanted, abs=1e-5)
    assert np.ptp(wanted) > 1e-2
    assert 0 < found.tokens <= found.padded_tokens


def test_a_model_saved_by_sentence_transformers_scores_the_same(folder: Path, tmp_path: Path) -> None:
    Reference(str(folder), device="cpu", activation_fn=__import__("torch").nn.Identity()).save_pretrained(
        str(tmp_path / "saved")
    )
    wanted = Reference(str(tmp_path / "saved"), device="cpu").predict(PAIRS, show_progress_bar=False)
    assert CrossEncoder.load(str(tmp_path / "saved"), device="cpu").score(PAIRS).scores == pytest.approx(
        wanted, abs=1e-5
    )


def test_max_length_cuts_the_longer_text_first_and_is_part_of_the_fingerprint(folder: Path) -> None:
    short = resolve_cross_encoder(str(folder), max_length=16)
    wanted = Reference(str(folder), device="cpu", max_length=16).predict(PAIRS, show_progress_bar=False)
    assert CrossEncoder.load(short, device="cpu").score(PAIRS).scores == pytest.approx(wanted, abs=1e-5)
    whole = resolve_cross_encoder(str(folder))
    assert (whole.max_length, short.model_id == whole.model_id) == (LENGTH, False)
    with pytest.raises(UsageError, match=rf"wanted no more tokens than .+ reads\. Use {LENGTH} or less\."):
        resolve_cross_encoder(str(folder), max_length=LENGTH + 1)
