"""Load the masked language model without running code of the checkpoint, check it, and prepare it for its device."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spladelake.encoder.body import READS_PADDING, Body, PaddedBody, SameLengthBody, UnpaddedBody
from spladelake.encoder.build import build_model, model_config
from spladelake.encoder.devices import release_memory
from spladelake.encoder.head import Decoder, Head, LogitsHead
from spladelake.encoder.layout import CheckpointLayout
from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.tuning import fastest_head
from spladelake.encoder.weights.families import FAMILIES
from spladelake.encoder.weights.parts import decoder_part, model_parts, unknown_tensors
from spladelake.encoder.weights.tensors import CheckpointTensors

logger = logging.getLogger(__name__)

# Tokens of a batch if the whole matrix of logits is held: 512 × 30,522 × 4 bytes = 62 MB.
LOGITS_BUDGET = 512
# Largest difference of a logit between a rearranged model and transformers' own model, relative to the largest logit.
# Two float32 computations in different orders stay below 1e-5; a wrong rearrangement does not.
AGREEMENT = 1e-4
# Tokens of the texts on which a rearranged model is tried: different lengths, two of them equal, and one longer than
# the 64 tokens that some architectures read at once.
PROBE_LENGTHS = (67, 11, 6, 6, 3)


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run.

    - token_budget: most tokens of a batch.
    - method: how the model computes, as a text for people.
    """

    body: Body
    head: Head
    token_budget: int
    method: str


def load_model(
    folder: Path, layout: CheckpointLayout, device: torch.device, *, autocast: torch.dtype | None, token_budget: int
) -> LoadedModel:
    """Load the model of a folder.

    On a CPU, a model of a known family is read directly from its file. transformers builds any other model. That model
    is then rearranged for speed if a few probe texts get transformers' own logits from it. The log names a model that
    could not be rearranged.

    - autocast: type in which an accelerator multiplies matrices, None for float32.
    - token_budget: most tokens of a batch.

    Raises UsageError if the files lack a tensor or if a tensor is not finite.
    """
    direct = _read_directly(folder, layout) if device.type == "cpu" else None
    body, decoder = direct or _read_by_transformers(folder, layout, device, autocast)
    release_memory()  # The tensors have been copied into a new layout.
    if decoder is None:
        logger.warning(
            "%s: encoding is slower than usual, because %s does not end in a plain linear layer",
            folder,
            layout.architecture,
        )
        pool = LogitsHead(layout.pooling, layout.activation)
        return LoadedModel(body, pool, min(token_budget, LOGITS_BUDGET), f"{_batches(body)}, all logits held")
    head, how = fastest_head(decoder, layout.pooling, layout.activation, token_budget=token_budget)
    return LoadedModel(body, head, token_budget, f"{_batches(body)}, {how}")


def _batches(body: Body) -> str:
    return "padded batches" if body.pads else "unpadded batches"


def _read_directly(folder: Path, layout: CheckpointLayout) -> tuple[Body, Decoder] | None:
    """Return body and decoder of a model of a known family; None if the files hold an unknown tensor."""
    if layout.model_type not in FAMILIES:
        return None
    # The config as transformers reads it: with numbers that the file lacks, and under transformers' names.
    config, tensors = model_config(folder, layout.config_changes).to_dict(), CheckpointTensors(folder)
    parts = model_parts(config, tensors)
    if parts is None or unknown_tensors(config, tensors, parts):
        return None
    linear = decoder_part(config, tensors, parts)
    if linear is None:
        return None
    try:
        return UnpaddedBody(parts), Decoder(linear.weight, linear.bias)
    except KeyError:
        return None


def _read_by_transformers(
    folder: Path, layout: CheckpointLayout, device: torch.device, autocast: torch.dtype | None
) -> tuple[Body, Decoder | None]:
    """Return body and decoder as transformers builds them. Without a decoder, the body returns logits."""
    model = build_model(folder, "AutoModelForMaskedLM", layout.config_changes)
    with told_as_refusal(folder, "model"):
        probe = _Probe(model, layout)
    name, linear = _output_layer(model)
    if linear is not None:
        # If the identity replaces the decoder, the model's "logits" are the decoder's input. The weight is copied:
        # transformers maps the file, and a view of one tensor would keep the whole file in memory.
        model.set_submodule(name, nn.Identity())
        decoder = Decoder(linear.weight.clone(), _bias(linear))
        body = _rearranged(model, decoder, probe, device, autocast, tied=_tied(model, linear))
        if body is not None:
            weight = decoder.weight.to(device, autocast or torch.float32)
            return body, Decoder(weight, decoder.bias.to(weight))
        model.set_submodule(name, linear)
    kind = PaddedBody if probe.same_when_padded(model) else SameLengthBody
    return kind(model.to(device), device, autocast), None


def _rearranged(
    model: Any, decoder: Decoder, probe: _Probe, device: torch.device, autocast: torch.dtype | None, *, tied: bool
) -> Body | None:
    """Return the fastest body for the device that gives the model's own logits; None if no body does.

    - tied: whether the word embeddings are the decoder's weight.
    """
    parts = model_parts(model.config.to_dict(), model.state_dict()) if device.type == "cpu" else None
    if parts is not None:
        unpadded = UnpaddedBody(replace(parts, words=decoder.weight if tied else parts.words.clone()))
        if probe.agrees(unpadded, decoder):
            return unpadded
        logger.warning(
            "encoding is slower for %s: without padding its logits differ from those of transformers, so spladelake "
            "pads the texts",
            type(model).__name__,
        )
    for kind in (SameLengthBody,) if _reads_padding(model) else (PaddedBody, SameLengthBody):
        if probe.agrees(kind(model, torch.device("cpu"), None), decoder):
            return kind(model.to(device), device, autocast)
    return None


def _reads_padding(model: Any) -> bool:
    return getattr(model.config, "model_type", "") in READS_PADDING


class _Probe:
    """A few texts of random tokens, and the model's own logits for them."""

    @torch.inference_mode()
    def __init__(self, model: Any, layout: CheckpointLayout) -> None:
        random = np.random.default_rng(0)
        lengths = [min(length, layout.max_length) for length in PROBE_LENGTHS]
        self.ids = [random.integers(0, layout.vocabulary_size, length, dtype=np.int32) for length in lengths]
        batches = [torch.from_numpy(ids).long().unsqueeze(0) for ids in self.ids]
        self.logits = torch.cat(
            [model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0] for ids in batches]
        )

    @torch.inference_mode()
    def agrees(self, body: Body, decoder: Decoder) -> bool:
        """Return whether body and decoder give the model's own logits."""
        try:
            hidden = body.hidden(self.ids)
        except (AttributeError, RuntimeError, TypeError) as error:
            # A model that does more with its decoder than call it cannot run without it.
            logger.debug("the rearranged model does not run: %s", error)
            return False
        if hidden.shape[1] != decoder.weight.shape[1]:
            return False
        return self._near(hidden @ decoder.weight.t() + decoder.bias)

    def same_when_padded(self, model: Any) -> bool:
        """Return whether a batch of texts of different lengths gets the same logits as each text alone."""
        return not _reads_padding(model) and self._near(PaddedBody(model, torch.device("cpu"), None).hidden(self.ids))

    def _near(self, logits: Tensor) -> bool:
        difference = (logits - self.logits).abs().max()
        return bool(difference <= AGREEMENT * self.logits.abs().max().clamp_min(1))


def _output_layer(model: Any) -> tuple[str, nn.Linear | None]:
    """Return (name, module) of the layer that computes the logits; the module is None if it is no linear layer."""
    layer = model.get_output_embeddings()
    names = [name for name, module in model.named_modules() if module is layer]
    if not names or type(layer) is not nn.Linear:
        return "", None
    return names[0], layer


def _tied(model: Any, linear: nn.Linear) -> bool:
    return bool(model.get_input_embeddings().weight is linear.weight)


def _bias(layer: nn.Linear) -> Tensor:
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias.clone()
