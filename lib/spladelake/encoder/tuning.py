"""Find the fastest head for this machine by trials, when a model is loaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache, cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from spladelake.encoder.head import LARGEST_INT8, Decoder, Head, ProductScreen, Screen, ScreenedHead, TiledHead
from spladelake.encoder.layout import Activation, Pooling
from spladelake.encoder.screening.fused import fused_screen

logger = logging.getLogger(__name__)

# Numbers of terms of a tile that are tried. The logits of a tile should stay in the cache until their maxima are taken.
TILE_SIZES = (256, 512, 1024)
# Size of one trial: a few milliseconds for each method.
TRIAL_TOKENS, TRIAL_TERMS, TRIAL_LENGTH, TRIAL_ROUNDS = 512, 4096, 64, 3
# A way whose first run, on one text, takes so many times the time that it may take is not tried further. Without VNNI
# the 8-bit products of torch take 20 times as long as those in float32.
HOPELESS = 4
# Screening must save this share of the time in a trial. A trial does not compute the terms that pass.
WORTHWHILE = 0.75
# Bytes of the logits of a tile on an accelerator, on which one large product is faster than many small ones.
ACCELERATOR_TILE_BYTES = 64 * 2**20


def fastest_head(decoder: Decoder, pooling: Pooling, activation: Activation, *, token_budget: int) -> tuple[Head, str]:
    """Return the fastest head for this machine, and a line that describes it.

    On a CPU this times the tile sizes on random hidden states, and screening in 8-bit numbers if it gives the same
    vectors. That takes about a tenth of a second.

    - token_budget: most tokens of a batch.
    """
    if decoder.weight.device.type != "cpu":
        tile = max(TILE_SIZES[-1], ACCELERATOR_TILE_BYTES // (token_budget * decoder.weight.element_size()))
        return accelerator_head(TiledHead(decoder, pooling, activation, tile=tile), decoder, pooling, activation)
    trial = _Trial(decoder, activation)
    plain = {tile: trial.plain(tile) for tile in TILE_SIZES}
    best = min(plain, key=plain.__getitem__)
    tiled = TiledHead(decoder, pooling, activation, tile=best)
    if pooling == "max":
        most = WORTHWHILE * plain[best]
        seconds = {how: trial.screened(make, most) for how, make in SCREENS.items()}
        logger.debug("seconds of a trial: plain %s, screened %s", plain, seconds)
        how = min(seconds, key=seconds.__getitem__)
        if seconds[how] < most and (screen := SCREENS[how](decoder)) is not None:
            return ScreenedHead(decoder, activation, screen, otherwise=tiled), how
    return tiled, f"{best} terms at once"


def accelerator_head(tiled: TiledHead, decoder: Decoder, pooling: Pooling, activation: Activation) -> tuple[Head, str]:
    """Return the Triton kernel if it compiles, agrees with the tiled head and is faster; else the tiled head."""
    plain = tiled, f"{tiled.tile} terms at once"
    if pooling != "max":
        return plain
    weight = decoder.weight
    hidden = torch.randn(TRIAL_TOKENS, weight.shape[1]).to(weight)
    lengths = [TRIAL_LENGTH] * (TRIAL_TOKENS // TRIAL_LENGTH)
    try:
        from spladelake.encoder.triton_head import TritonHead

        fused = TritonHead(decoder, "max", activation, tile=tiled.tile)
        wanted, found = tiled.largest(hidden, lengths).float(), fused.largest(hidden, lengths)
    except Exception as error:  # A compiler for the GPU fails in many ways. The tiled head works without it.
        logger.info("encoding may be slower: the fused GPU kernel does not work here (%s)", error)
        return plain
    # The tiled head rounds each logit to the type of its products.
    if (found - wanted).abs().max() > 4 * torch.finfo(weight.dtype).eps * wanted.abs().max():
        logger.warning("encoding may be slower: the fused GPU kernel gives other logits than torch, so it is not used")
        return plain
    seconds = [_wall_seconds(lambda head=head: head.largest(hidden, lengths), weight.device) for head in (tiled, fused)]  # type: ignore[misc]
    return plain if seconds[0] < seconds[1] else (fused, "all terms in one fused kernel")


class _Trial:
    """A trial of both ways to find the largest logits, on the first terms of a decoder and random hidden states."""

    def __init__(self, decoder: Decoder, activation: Activation) -> None:
        self._part = Decoder(decoder.weight[:TRIAL_TERMS], decoder.bias[:TRIAL_TERMS])
        self._activation: Activation = activation
        self._hidden = torch.randn(TRIAL_TOKENS, decoder.weight.shape[1], generator=torch.Generator().manual_seed(0))
        self._lengths = [TRIAL_LENGTH] * (TRIAL_TOKENS // TRIAL_LENGTH)

    def plain(self, tile: int) -> float:
        """Return the seconds of a trial in float32."""
        head = TiledHead(self._part, "max", self._activation, tile=tile)
        return _seconds(lambda: head.largest(self._hidden, self._lengths))

    def screened(self, make: Callable[[Decoder], Screen | None], most: float) -> float:
        """Return the seconds of a trial of a screen; infinity if it does not work here or loses a positive term.

        - most: the seconds that it may take to be of use.
        """
        screen = make(self._part)
        if screen is None:
            return float("inf")
        one = _once(lambda: screen.candidates(self._hidden[:TRIAL_LENGTH], self._lengths[:1]))
        if one > HOPELESS * most / len(self._lengths):
            return float("inf")
        if not screen.candidates(self._hidden, self._lengths)[self._positive].all():
            logger.warning(
                "encoding may be slower: the fast filter of terms, which loses some on this machine, is not used"
            )
            return float("inf")
        return _seconds(lambda: screen.candidates(self._hidden, self._lengths))

    @cached_property
    def _positive(self) -> NDArray[np.bool_]:
        """Which terms are positive in each text of the trial."""
        logits = TiledHead(self._part, "max", self._activation, tile=TRIAL_TERMS).largest(self._hidden, self._lengths)
        positive: NDArray[np.bool_] = (logits + self._part.bias > 0).numpy()
        return positive


def _product_screen(decoder: Decoder, *, tile: int) -> Screen | None:
    return ProductScreen(decoder, tile=tile) if _exact_integers(decoder.weight.shape[1]) else None


def _fused_screen(decoder: Decoder) -> Screen | None:
    return fused_screen(decoder.weight, decoder.bias)


# Ways to screen, by the line that describes them. Each gives None if this machine cannot run it.
SCREENS: dict[str, Callable[[Decoder], Screen | None]] = {
    f"terms screened in 8-bit numbers, {tile} at once": partial(_product_screen, tile=tile) for tile in TILE_SIZES
} | {"terms screened in 8-bit numbers by the fused kernel": _fused_screen}


@cache
def _exact_integers(width: int) -> bool:
    """Return whether 8-bit products are exact on this machine. Without VNNI instructions some kernels saturate."""
    if not hasattr(torch, "_int_mm"):
        return False
    extremes = torch.full((TRIAL_TOKENS, width), LARGEST_INT8, dtype=torch.int8)
    random = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (TILE_SIZES[0], extremes.shape[1]), generator=random, dtype=torch.int8) * 2 - 1
    signs[0] = 1
    try:
        found = torch._int_mm(extremes, (signs * LARGEST_INT8).t())
    except RuntimeError:
        return False
    return bool((found == signs.sum(dim=1, dtype=torch.int32) * LARGEST_INT8**2).all())


def _wall_seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the shortest time of a few runs on an accelerator, after one run that is not timed."""
    run()
    times = []
    for _ in range(TRIAL_ROUNDS):
        began = time.perf_counter()
        run()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def _seconds(run: Callable[[], object]) -> float:
    """Return the shortest processor time of a few runs, after one that is not timed. Other processes do not count."""
    run()
    return min(_once(run) for _ in range(TRIAL_ROUNDS))


def _once(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began
