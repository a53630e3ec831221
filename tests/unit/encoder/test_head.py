"""Heads find the largest logit of every term, whatever way they compute it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.encoder.head import Decoder, LogitsHead, ProductScreen, Screen, ScreenedHead, TiledHead, tiles
from spladelake.encoder.screening.fused import fused_screen
from spladelake.encoder.segments import Segments
from spladelake.errors import DataError
from spladelake.scoring import check_vectors

WIDTH, VOCABULARY = 24, 300


def material(
    seed: int, lengths: list[int], *, shift: float = 2.0, outlier: float = 1.0
) -> tuple[torch.Tensor, Decoder]:
    """Random hidden states and a decoder; shift lowers all logits, outlier enlarges one column of the hidden states."""
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(sum(lengths), WIDTH, generator=random)
    hidden[:, 3] *= outlier
    weight = torch.randn(VOCABULARY, WIDTH, generator=random)
    return hidden, Decoder(weight, torch.randn(VOCABULARY, generator=random) - shift)


def weights_in_float64(hidden: torch.Tensor, decoder: Decoder, lengths: list[int], pooling: str) -> np.ndarray:
    """SPLADE weights by the definition, token by token, in double precision."""
    logits = hidden.double().numpy() @ decoder.weight.double().numpy().T + decoder.bias.double().numpy()
    weights = np.log1p(np.maximum(logits, 0))
    parts = np.split(weights, np.cumsum(lengths)[:-1])
    return np.stack([part.max(axis=0) if pooling == "max" else part.sum(axis=0) for part in parts])


def dense(vectors, vocabulary: int = VOCABULARY) -> np.ndarray:
    out = np.zeros((len(vectors), vocabulary))
    for row in range(len(vectors)):
        indices, values = vectors.row(row)
        out[row, indices] = values
    return out


def screens(decoder: Decoder) -> list[Screen]:
    """Every screen that this machine can run."""
    fused = fused_screen(decoder.weight, decoder.bias)
    return [ProductScreen(decoder, tile=128), *([fused] if fused else [])]


def screened(decoder: Decoder) -> list[ScreenedHead]:
    plain = TiledHead(decoder, "max", "relu", tile=128)
    return [ScreenedHead(decoder, "relu", screen, otherwise=plain) for screen in screens(decoder)]


LENGTHS = [70, 40, 33, 33, 12, 5, 5, 5, 1, 1]


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("tile", [1, 7, 128, 300, 4096])
def test_tiles_of_every_size_give_the_weights_of_the_definition(pooling, tile):
    hidden, decoder = material(0, LENGTHS)
    found = TiledHead(decoder, pooling, "relu", tile=tile).terms(hidden, LENGTHS)
    # float32 sums of 24 products against float64: 24 × 2⁻²⁴ × a few; for "sum", of up to 70 tokens.
    np.testing.assert_allclose(
        dense(found), weights_in_float64(hidden, decoder, LENGTHS, pooling), rtol=1e-5, atol=1e-5
    )
    check_vectors(found, vocabulary_size=VOCABULARY, place="found")


@pytest.mark.parametrize("shift", [-3.0, 0.0, 8.0, 14.0, 40.0])
@pytest.mark.parametrize("outlier", [1.0, 50.0])
def test_screening_gives_the_weights_of_the_definition(shift, outlier):
    hidden, decoder = material(1, LENGTHS, shift=shift, outlier=outlier)
    wanted = weights_in_float64(hidden, decoder, LENGTHS, "max")
    for head in screened(decoder):
        found = head.terms(hidden, LENGTHS)
        np.testing.assert_allclose(dense(found), wanted, rtol=1e-5, atol=1e-5)
        check_vectors(found, vocabulary_size=VOCABULARY, place="found")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=8),
    shift=st.floats(-5, 20),
    outlier=st.floats(0, 1e3),
)
def test_every_term_that_is_positive_in_float32_passes_the_screen(seed, lengths, shift, outlier):
    hidden, decoder = material(seed, lengths, shift=shift, outlier=outlier)
    logits = hidden @ decoder.weight.t() + decoder.bias
    largest = torch.stack([part.amax(dim=0) for part in logits.split(lengths)])
    for screen in screens(decoder):
        assert screen.candidates(hidden, lengths)[(largest > 0).numpy()].all()


def test_screening_leaves_little_more_than_the_positive_terms():
    hidden, decoder = material(2, [50] * 4, shift=16.0)
    positive = np.count_nonzero(weights_in_float64(hidden, decoder, [50] * 4, "max"))
    for screen in screens(decoder):
        assert 0 < positive <= np.count_nonzero(screen.candidates(hidden, [50] * 4)) < 2 * positive


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e3, 1e15])
def test_screening_holds_at_every_scale(scale):
    hidden, decoder = material(3, LENGTHS)
    scaled = Decoder(decoder.weight * scale, decoder.bias * scale)
    logits = hidden @ scaled.weight.t() + scaled.bias
    largest = torch.stack([part.amax(dim=0) for part in logits.split(LENGTHS)])
    for screen in screens(scaled):
        assert screen.candidates(hidden, LENGTHS)[(largest > 0).numpy()].all()


def test_terms_whose_weights_are_all_zero_follow_their_bias():
    hidden, decoder = material(4, [9, 4])
    decoder.weight[::2] = 0
    decoder.bias[::2] = torch.linspace(-1, 1, 150)
    for head in (*screened(decoder), TiledHead(decoder, "max", "relu", tile=64)):
        np.testing.assert_allclose(
            dense(head.terms(hidden, [9, 4])), weights_in_float64(hidden, decoder, [9, 4], "max"), atol=1e-5
        )


def test_logits_of_the_model_itself_are_pooled_alike():
    hidden, decoder = material(5, LENGTHS)
    for pooling in ("max", "sum"):
        logits = hidden @ decoder.weight.t() + decoder.bias
        found = LogitsHead(pooling, "relu").terms(logits, LENGTHS)
        wanted = weights_in_float64(hidden, decoder, LENGTHS, pooling)
        np.testing.assert_allclose(dense(found), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_hidden_state_that_is_not_finite_is_an_error_and_no_empty_vector(wrong):
    hidden, decoder = material(6, [5, 3])
    hidden[6, 2] = wrong
    for head in (*screened(decoder), TiledHead(decoder, "max", "relu", tile=64), LogitsHead("max", "relu")):
        with pytest.raises(DataError, match="holds infinity or NaN"):
            head.terms(hidden.clone(), [5, 3])


@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_maxima_over_laid_out_texts_are_those_of_the_texts(lengths):
    rows = torch.randn(sum(lengths), 5, generator=torch.Generator().manual_seed(0))
    segments = Segments(lengths, torch.device("cpu"))
    laid = segments.lay_out(rows)
    out = torch.empty(len(lengths), 5)
    segments.largest(laid, out)
    assert torch.equal(out, torch.stack([part.amax(dim=0) for part in rows.split(lengths)]))
    assert len(laid) <= sum(lengths) * (1 + 1 / 32) + 32


def test_tiles_cover_the_vocabulary_once():
    assert [range(VOCABULARY)[tile] for tile in tiles(VOCABULARY, 128)] == [
        range(128),
        range(128, 256),
        range(256, 300),
    ]
