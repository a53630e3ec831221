"""Find the parts of a masked language model among the tensors of its family.

BERT, RoBERTa and DistilBERT are the same network: a normalised sum of embeddings; layers of attention and a two-layer
perceptron, each added to its input and normalised; and a dense layer with activation and norm before the decoder. Only
the names and the first position differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spladelake.encoder.linear import ACTIVATIONS
from spladelake.encoder.weights.families import DEVIATIONS, DISTILBERT_EPS, FAMILIES, UNUSED, Family


@dataclass(frozen=True)
class Linear:
    """The layer x Wᵀ + b. The decoder is such a layer, with a row for each term.

    - weight: (out, in).
    - bias: (out).
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Norm:
    """A layer norm.

    - weight, bias: (width).
    """

    weight: Tensor
    bias: Tensor
    eps: float


@dataclass(frozen=True)
class LayerParts:
    """One transformer layer."""

    query: Linear
    key: Linear
    value: Linear
    attended: Linear
    attended_norm: Norm
    up: Linear
    down: Linear
    down_norm: Norm


@dataclass(frozen=True)
class ModelParts:
    """A masked language model up to its decoder.

    - words: (vocabulary, width).
    - positions: (places, width), with token type 0 already added.
    - uncounted: id of a token that has place 0 and does not count, so the first other token has place 1. None if tokens
      count from 0.
    - read_layer: returns the parts of a layer by its number, from 0 up to `layers` - 1.
    - activation, transform_activation: keys of `linear.PLAIN`.
    """

    words: Tensor
    positions: Tensor
    uncounted: int | None
    norm: Norm
    layers: int
    read_layer: Callable[[int], LayerParts]
    heads: int
    activation: str
    transform: Linear
    transform_activation: str
    transform_norm: Norm


def model_parts(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ModelParts | None:
    """Return the parts of a model of a known family. None for another family, or if a part or number is missing.

    - config: content of config.json.
    - tensors: tensors by the names under which transformers saves them.
    """
    family = FAMILIES.get(config.get("model_type", ""))
    if family is None or any(config.get(key, plain) != plain for key, plain in DEVIATIONS.items()):
        return None
    try:
        return _parts(family, config, tensors)
    except KeyError:
        return None


def decoder_part(config: Mapping[str, Any], tensors: Mapping[str, Tensor], parts: ModelParts) -> Linear | None:
    """Return the decoder of a known family; None if the file leaves open which tensors form it."""
    family = FAMILIES[config["model_type"]]
    weight, biases = f"{family.decoder}.weight", [family.decoder_bias, f"{family.decoder}.bias"]
    found = [tensors[name] for name in dict.fromkeys(biases) if name in tensors]
    if not found or any(not torch.equal(found[0], other) for other in found[1:]):
        return None
    if not config.get("tie_word_embeddings", True):
        return Linear(tensors[weight], found[0]) if weight in tensors else None
    if weight in tensors and not torch.equal(tensors[weight], parts.words):
        return None
    return Linear(parts.words, found[0])


def unknown_tensors(config: Mapping[str, Any], names: Iterable[str], parts: ModelParts) -> list[str]:
    """Return the names of tensors that are no part of a model of this family."""
    family = FAMILIES[config["model_type"]]
    inner = [family.query, family.key, family.value, family.attended, family.attended_norm]
    inner += [family.up, family.down, family.down_norm]
    known = {f"{family.layer.format(i)}{name}" for i in range(parts.layers) for name in inner}
    known |= {family.transform, family.transform_norm, family.decoder, f"{family.embeddings}LayerNorm"}
    known |= {f"{family.embeddings}{kind}_embeddings" for kind in ("word", "position", "token_type")}
    known.add(family.decoder_bias.removesuffix(".bias"))
    return [name for name in names if not UNUSED.fullmatch(name) and re.sub(r"\.(weight|bias)$", "", name) not in known]


def _parts(family: Family, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ModelParts:
    """Return the parts of a model. Raises KeyError if a tensor or a number is missing."""
    eps = config["layer_norm_eps"] if family.token_types else DISTILBERT_EPS
    uncounted = int(config["pad_token_id"]) if family.counts_from_padding else None
    # In RoBERTa the place of padding is the padding id, and the first token has the next place.
    positions = tensors[f"{family.embeddings}position_embeddings.weight"][uncounted or 0 :]
    if family.token_types:
        positions = positions + tensors[f"{family.embeddings}token_type_embeddings.weight"][0]

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name: str) -> Norm:
        return Norm(tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)

    def layer(number: int) -> LayerParts:
        place = family.layer.format(number)
        return LayerParts(
            query=linear(place + family.query),
            key=linear(place + family.key),
            value=linear(place + family.value),
            attended=linear(place + family.attended),
            attended_norm=norm(place + family.attended_norm),
            up=linear(place + family.up),
            down=linear(place + family.down),
            down_norm=norm(place + family.down_norm),
        )

    activation = ACTIVATIONS[config[family.activation]]
    return ModelParts(
        words=tensors[f"{family.embeddings}word_embeddings.weight"],
        positions=positions,
        uncounted=uncounted,
        norm=norm(f"{family.embeddings}LayerNorm"),
        layers=config[family.layers],
        read_layer=layer,
        heads=config[family.heads],
        activation=activation,
        transform=linear(family.transform),
        transform_activation=family.transform_activation or activation,
        transform_norm=norm(family.transform_norm),
    )
