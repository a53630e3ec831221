"""The names of tensors and of numbers of the config in the known families of masked language models.

BERT, RoBERTa and DistilBERT are the same network. Only the names and the first position differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Family:
    """The names of a family's tensors and of the numbers in its config."""

    embeddings: str
    layer: str
    query: str
    key: str
    value: str
    attended: str
    attended_norm: str
    up: str
    down: str
    down_norm: str
    transform: str
    transform_norm: str
    decoder: str
    decoder_bias: str
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    activation: str = "hidden_act"
    width: str = "hidden_size"
    inner: str = "intermediate_size"
    # The activation before the decoder, if the config does not decide it: RoBERTa's is always GELU.
    transform_activation: str | None = None
    token_types: bool = True
    counts_from_padding: bool = False


BERT = Family(
    embeddings="bert.embeddings.",
    layer="bert.encoder.layer.{}.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attended="attention.output.dense",
    attended_norm="attention.output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
    down_norm="output.LayerNorm",
    transform="cls.predictions.transform.dense",
    transform_norm="cls.predictions.transform.LayerNorm",
    decoder="cls.predictions.decoder",
    decoder_bias="cls.predictions.bias",
)
ROBERTA = replace(
    BERT,
    embeddings="roberta.embeddings.",
    layer="roberta.encoder.layer.{}.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    decoder_bias="lm_head.bias",
    transform_activation="gelu",
    counts_from_padding=True,
)
DISTILBERT = Family(
    embeddings="distilbert.embeddings.",
    layer="distilbert.transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attended="attention.out_lin",
    attended_norm="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    down_norm="output_layer_norm",
    transform="vocab_transform",
    transform_norm="vocab_layer_norm",
    decoder="vocab_projector",
    decoder_bias="vocab_projector.bias",
    layers="n_layers",
    heads="n_heads",
    activation="activation",
    width="dim",
    inner="hidden_dim",
    token_types=False,
)
DISTILBERT_EPS = 1e-12  # It is not in the config.
FAMILIES = {"bert": BERT, "roberta": ROBERTA, "xlm-roberta": ROBERTA, "camembert": ROBERTA, "distilbert": DISTILBERT}

# Further tensors that a checkpoint may hold. None of them changes the logits.
UNUSED = re.compile(r".*\.position_ids|(bert|roberta)\.pooler\..*|cls\.seq_relationship\..*")
# Values of settings with which these networks compute something else.
DEVIATIONS = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}


def tensor_sizes(family: Family, layers: int) -> dict[str, tuple[str, ...]]:
    """Return, by the name of each tensor, the keys of the config that give the sides of its shape."""
    width, inner, terms = family.width, family.inner, "vocab_size"
    sizes = {
        f"{family.embeddings}word_embeddings.weight": (terms, width),
        f"{family.embeddings}position_embeddings.weight": ("max_position_embeddings", width),
        f"{family.decoder}.weight": (terms, width),
        f"{family.decoder}.bias": (terms,),
        family.decoder_bias: (terms,),
        **_linear(family.transform, width, width),
        **_norm(family.transform_norm, width),
        **_norm(f"{family.embeddings}LayerNorm", width),
    }
    if family.token_types:
        sizes[f"{family.embeddings}token_type_embeddings.weight"] = ("type_vocab_size", width)
    for place in map(family.layer.format, range(layers)):
        for name in (family.query, family.key, family.value, family.attended):
            sizes |= _linear(place + name, width, width)
        sizes |= _linear(place + family.up, inner, width) | _linear(place + family.down, width, inner)
        sizes |= _norm(place + family.attended_norm, width) | _norm(place + family.down_norm, width)
    return sizes


def _linear(name: str, out: str, into: str) -> dict[str, tuple[str, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: str) -> dict[str, tuple[str, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
