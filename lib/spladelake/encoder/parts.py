"""Where the families of masked language models keep their parts.

BERT, RoBERTa and DistilBERT are the same network: a normalised sum of embeddings, then layers of attention and a
two-layer perceptron, each added to its input and normalised, then a dense layer with activation and norm before the
decoder. Only the names differ, and from where positions are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spladelake.encoder.linear import ACTIVATIONS


@dataclass(frozen=True)
class LayerParts:
    """One transformer layer."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attended: nn.Linear
    attended_norm: nn.LayerNorm
    up: nn.Linear
    down: nn.Linear
    down_norm: nn.LayerNorm


@dataclass(frozen=True)
class ModelParts:
    """A masked language model up to its decoder.

    words: (vocabulary, width). positions: (places, width), token type 0 already added. uncounted: id of a token that
    has place 0 and is not counted, so that the first other token has place 1; None where tokens are counted from 0.
    activation, transform_activation: keys of `linear.PLAIN`.
    """

    words: Tensor
    positions: Tensor
    uncounted: int | None
    norm: nn.LayerNorm
    layers: tuple[LayerParts, ...]
    heads: int
    activation: str
    transform: nn.Linear
    transform_activation: str
    transform_norm: nn.LayerNorm


def model_parts(model: Any) -> ModelParts | None:
    """Parts of a model of a known family, None for any other or when a part is not where it is expected."""
    read = READERS.get(model.config.model_type)
    try:
        return read(model) if read else None
    except (AttributeError, KeyError):
        return None


def _bert(model: Any) -> ModelParts:
    head = model.cls.predictions.transform
    return _bert_like(model, model.bert, head.dense, model.config.hidden_act, head.LayerNorm, uncounted=None)


def _roberta(model: Any) -> ModelParts:
    head, padding = model.lm_head, model.config.pad_token_id
    # The activation of this head does not follow the config: transformers' RobertaLMHead always uses GELU.
    return _bert_like(model, model.roberta, head.dense, "gelu", head.layer_norm, uncounted=padding)


def _bert_like(
    model: Any, body: Any, transform: nn.Linear, activation: str, norm: nn.LayerNorm, *, uncounted: int | None
) -> ModelParts:
    embeddings = body.embeddings
    # RoBERTa's own place of padding is the padding id, and its first token follows.
    positions = embeddings.position_embeddings.weight[uncounted or 0 :]
    return ModelParts(
        words=embeddings.word_embeddings.weight.detach(),
        positions=(positions + embeddings.token_type_embeddings.weight[0]).detach(),
        uncounted=uncounted,
        norm=embeddings.LayerNorm,
        layers=tuple(
            LayerParts(
                query=layer.attention.self.query,
                key=layer.attention.self.key,
                value=layer.attention.self.value,
                attended=layer.attention.output.dense,
                attended_norm=layer.attention.output.LayerNorm,
                up=layer.intermediate.dense,
                down=layer.output.dense,
                down_norm=layer.output.LayerNorm,
            )
            for layer in body.encoder.layer
        ),
        heads=model.config.num_attention_heads,
        activation=ACTIVATIONS[model.config.hidden_act],
        transform=transform,
        transform_activation=ACTIVATIONS[activation],
        transform_norm=norm,
    )


def _distilbert(model: Any) -> ModelParts:
    embeddings = model.distilbert.embeddings
    return ModelParts(
        words=embeddings.word_embeddings.weight.detach(),
        positions=embeddings.position_embeddings.weight.detach(),
        uncounted=None,
        norm=embeddings.LayerNorm,
        layers=tuple(
            LayerParts(
                query=layer.attention.q_lin,
                key=layer.attention.k_lin,
                value=layer.attention.v_lin,
                attended=layer.attention.out_lin,
                attended_norm=layer.sa_layer_norm,
                up=layer.ffn.lin1,
                down=layer.ffn.lin2,
                down_norm=layer.output_layer_norm,
            )
            for layer in model.distilbert.transformer.layer
        ),
        heads=model.config.n_heads,
        activation=ACTIVATIONS[model.config.activation],
        transform=model.vocab_transform,
        transform_activation=ACTIVATIONS[model.config.activation],
        transform_norm=model.vocab_layer_norm,
    )


READERS: dict[str, Callable[[Any], ModelParts]] = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "camembert": _roberta,
    "distilbert": _distilbert,
}
