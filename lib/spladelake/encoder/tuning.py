"""How the head is best computed on this machine, found by trying when a model is loaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch

from spladelake.encoder.head import LARGEST_INT8, Decoder, Head, ScreenedHead, TiledHead
from spladelake.encoder.layout import Activation, Pooling

logger = logging.getLogger(__name__)

# Terms of a tile that are tried: a tile's logits should stay in the cache until their maxima are taken.
TILE_SIZES = (256, 512, 1024)
# Size of one trial: some milliseconds for every method.
TRIAL_TOKENS, TRIAL_TERMS, TRIAL_LENGTH, TRIAL_ROUNDS = 1024, 2048, 64, 3
# Screening must save this much of the time in the trial, which leaves out computing the terms that pass.
WORTHWHILE = 0.75
# Bytes of a tile's logits on an accelerator, where one large product is better than many small ones.
ACCELERATOR_TILE_BYTES = 64 * 2**20


def fastest_head(decoder: Decoder, pooling: Pooling, activation: Activation, *, token_budget: int) -> tuple[Head, str]:
    """The head for this machine and a line that says what it is.

    On a CPU the tile sizes, and screening in 8-bit numbers where it gives the same vectors, are timed on random hidden
    states, about a tenth of a second in all. token_budget: tokens of a batch.
    """
    if decoder.weight.device.type != "cpu":
        tile = max(TILE_SIZES[-1], ACCELERATOR_TILE_BYTES // (token_budget * decoder.weight.element_size()))
        return accelerator_head(TiledHead(decoder, pooling, activation, tile=tile), decoder, pooling, activation)
    trial = _Trial(decoder, activation)
    plain = {tile: trial.plain(tile) for tile in TILE_SIZES}
    best = min(plain, key=plain.__getitem__)
    tiled = TiledHead(decoder, pooling, activation, tile=best)
    if pooling == "max" and trial.exact_integers():
        screened = {tile: trial.screened(tile, tiled) for tile in TILE_SIZES}
        tile = min(screened, key=screened.__getitem__)
        logger.debug("seconds of a trial: plain %s, screened %s", plain, screened)
        if screened[tile] < WORTHWHILE * plain[best]:
            head = ScreenedHead(decoder, activation, tile=tile, otherwise=tiled)
            return head, f"terms screened in 8-bit numbers, {tile} at once"
    return tiled, f"{best} terms at once"


def accelerator_head(tiled: TiledHead, decoder: Decoder, pooling: Pooling, activation: Activation) -> tuple[Head, str]:
    """The Triton kernel where it can be compiled, agrees with the tiled head and is faster; else the tiled head."""
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
    except Exception as error:  # a compiler for the GPU fails in many ways, none of which matters here
        logger.info("spladelake cannot use the fused GPU kernel and uses the tiled head: %s", error)
        return plain
    # The tiled head rounds each logit to the type it multiplies in.
    if (found - wanted).abs().max() > 4 * torch.finfo(weight.dtype).eps * wanted.abs().max():
        logger.warning("the fused GPU kernel gives other logits than the tiled head, so spladelake uses the tiled head")
        return plain
    seconds = [_wall_seconds(lambda head=head: head.largest(hidden, lengths), weight.device) for head in (tiled, fused)]  # type: ignore[misc]
    return plain if seconds[0] < seconds[1] else (fused, "all terms in one fused kernel")


class _Trial:
    """Both ways of finding the largest logits, on the first terms of a decoder and random hidden states."""

    def __init__(self, decoder: Decoder, activation: Activation) -> None:
        self._part = Decoder(decoder.weight[:TRIAL_TERMS], decoder.bias[:TRIAL_TERMS])
        self._activation: Activation = activation
        self._hidden = torch.randn(TRIAL_TOKENS, decoder.weight.shape[1], generator=torch.Generator().manual_seed(0))
        self._lengths = [TRIAL_LENGTH] * (TRIAL_TOKENS // TRIAL_LENGTH)

    def exact_integers(self) -> bool:
        """Whether products of 8-bit numbers are exact here: without VNNI instructions some kernels saturate."""
        if not hasattr(torch, "_int_mm"):
            return False
        extremes = torch.full((TRIAL_TOKENS, self._hidden.shape[1]), LARGEST_INT8, dtype=torch.int8)
        random = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (TILE_SIZES[0], extremes.shape[1]), generator=random, dtype=torch.int8) * 2 - 1
        signs[0] = 1
        try:
            found = torch._int_mm(extremes, (signs * LARGEST_INT8).t())
        except RuntimeError:
            return False
        return bool((found == signs.sum(dim=1, dtype=torch.int32) * LARGEST_INT8**2).all())

    def plain(self, tile: int) -> float:
        """Seconds of a trial in float32."""
        head = TiledHead(self._part, "max", self._activation, tile=tile)
        return _seconds(lambda: head.largest(self._hidden, self._lengths))

    def screened(self, tile: int, otherwise: Head) -> float:
        """Seconds of a trial in 8-bit numbers."""
        head = ScreenedHead(self._part, self._activation, tile=tile, otherwise=otherwise)
        return _seconds(lambda: head.candidates(self._hidden, self._lengths))


def _wall_seconds(run: Callable[[], object], device: torch.device) -> float:
    """Shortest time of a few runs on an accelerator, after one that is not timed."""
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
    """Shortest processor time of a few runs, after one that is not timed; other work on the machine does not count."""
    run()
    times = []
    for _ in range(TRIAL_ROUNDS):
        began = time.thread_time()
        run()
        times.append(time.thread_time() - began)
    return min(times)
