"""The fused kernel of screening is exact in whole numbers, and its bound holds for the worst roundings."""

from __future__ import annotations

import llvmlite.binding
import numpy as np
import pytest
import torch

from spladelake.encoder import tuning
from spladelake.encoder.head import Decoder, ScreenedHead
from spladelake.encoder.screening import fused, kernel
from spladelake.encoder.screening.fused import fused_screen
from spladelake.encoder.screening.kernel import OFFSET, ROWS, PackedTerms, compiled, screen

needs_avx2 = pytest.mark.skipif(compiled(8) is None, reason="the processor lacks AVX2")


@needs_avx2
@pytest.mark.parametrize(("width", "largest"), [(8, 127), (40, 20), (40, 127), (128, 1), (128, 20)])
def test_the_largest_sums_are_exact_even_if_sums_overflow_on_the_way(width, largest):
    rng = np.random.default_rng(width)
    terms, blocks = rng.integers(-largest, largest + 1, (48, width)), np.array([1, 3, 2])
    terms[0], terms[1] = largest, -largest
    states = rng.integers(-63, 64, (ROWS * blocks.sum(), width))
    # Both halves of the last sums are 0, but the first half of the columns alone leaves 16 bits.
    states[0, : width // 2], states[0, width // 2 :] = 63, -63
    sums = np.stack([part.max(axis=0) for part in np.split(states @ terms.T, ROWS * np.cumsum(blocks)[:-1])])
    halves = [states[:, d::4] @ terms[:, d::4].T + states[:, d + 1 :: 4] @ terms[:, d + 1 :: 4].T for d in (0, 2)]
    fits = np.all([np.abs(half).max(axis=0) < 2**15 for half in halves], axis=0)
    assert fits.sum() > 20
    packed = PackedTerms(terms.astype(np.int8))
    rows = (states + OFFSET).astype(np.uint8)
    for shift, above in ((0, False), (-1, True)):
        for text, of_text in enumerate(sums):
            thresholds = packed.coefficients(*np.stack([of_text + shift, of_text, of_text]).astype(np.float32))
            factors = np.tile(np.array([1, 0, 0], np.float32), (3, 1))
            found = screen(compiled(width), rows, blocks, factors, packed, thresholds)
            assert (found[text][fits] == above).all()


@needs_avx2
@pytest.mark.parametrize("width", [24, 30, 128, 260])
def test_no_term_is_lost_if_every_rounding_errs_in_the_same_direction(width):
    """Every number lies just below the middle of two steps, with signs that add up all errors."""
    rng = torch.Generator().manual_seed(width)
    signs = torch.randint(0, 2, (64, width), generator=rng) * 2.0 - 1
    weight = signs * (torch.randint(20, 60, (64, width), generator=rng) + 0.4999)
    weight[:, 0] = 127
    hidden = signs[:16] * (torch.randint(5, 30, (16, width), generator=rng) + 0.4999)
    hidden[:, 0] = 63
    hidden[3] = -0.0
    logits = hidden.double() @ weight.double().t()
    for offset in (-1e-3, 0, 1e-3):
        bias = (-logits.amax(dim=0) * (1 + 1e-7) + offset).float()
        found = fused_screen(weight, bias).candidates(hidden, [5, 1, 10])
        exact = torch.stack([part.amax(dim=0) for part in logits.split([5, 1, 10])]) + bias
        assert found[(exact > 0).numpy()].all()


@needs_avx2
@pytest.mark.parametrize(("hidden", "weight", "bias"), [(0.0, 0.0, 1.0), (1e-38, 1e-38, 1.0), (1e30, 1e-30, -0.5)])
def test_extreme_and_zero_numbers_lose_no_term(hidden, weight, bias):
    weights, states = torch.full((40, 16), weight), torch.full((6, 16), hidden)
    weights[::2] = 0
    screen = fused_screen(weights, torch.full((40,), bias))
    positive = (states.double() @ weights.double().t()).amax(dim=0) + bias > 0
    assert positive.any()
    for _ in range(2):
        assert screen.candidates(states, [4, 2])[:, positive.numpy()].all()
        states = -states * 0  # negative zeros, around the centre of the first call
        positive = torch.full((40,), bias) > 0


@needs_avx2
def test_states_that_would_saturate_16_bits_are_rounded_more_coarsely(monkeypatch):
    assert fused_screen(torch.ones(32, 2000), torch.ones(32)) is None  # too wide to be of use
    monkeypatch.setattr(fused, "MOST_WIDTH", 2000)
    weight = torch.ones(32, 2000)
    hidden = torch.ones(8, 2000) * torch.linspace(-1, 1, 8)[:, None]
    largest = torch.tensor([[2000.0 / 7 * -1], [2000.0]])
    for bias in (-2001.0, -1999.0, 280.0, 290.0):
        found = fused_screen(weight, torch.full((32,), bias)).candidates(hidden, [4, 4])
        assert found[((largest + bias) > 0).numpy().repeat(32, axis=1)].all()


def refused(text: str) -> None:
    raise RuntimeError("another syntax")


@pytest.mark.parametrize(
    ("name", "value"), [("get_host_cpu_features", lambda: {"avx2": False}), ("parse_assembly", refused)]
)
def test_a_processor_without_avx2_and_an_unknown_llvm_take_another_head(monkeypatch, name, value):
    decoder = Decoder(torch.randn(3000, 64), torch.full((3000,), -30.0))
    monkeypatch.setattr(llvmlite.binding, name, value)
    kernel.compiled.cache_clear()
    try:
        assert fused_screen(decoder.weight, decoder.bias) is None
        head, how = tuning.fastest_head(decoder, "max", "relu", token_budget=1024)
    finally:
        kernel.compiled.cache_clear()
    assert "fused" not in how
    assert len(head.terms(torch.randn(9, 64), [4, 5])) == 2


@needs_avx2
def test_the_kernel_that_is_fastest_in_the_trial_is_used(monkeypatch):
    decoder = Decoder(torch.randn(3000, 64), torch.full((3000,), -30.0))
    monkeypatch.setattr(tuning, "WORTHWHILE", 1e9)
    monkeypatch.setattr(tuning, "SCREENS", {k: v for k, v in tuning.SCREENS.items() if "fused" in k})
    head, how = tuning.fastest_head(decoder, "max", "relu", token_budget=1024)
    assert isinstance(head, ScreenedHead)
    assert "fused" in how
