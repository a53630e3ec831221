"""The head of a SPLADE model in training, computed without the tokens x vocabulary matrix and its gradient.

Plain autograd stores that matrix once for each of mask, relu, log1p and max. Its gradient has the same size but is 0
almost everywhere: max pooling passes a gradient to one token a term, and only for active terms. Here the forward pass
takes the maximum tile by tile, and the backward pass visits only the active terms.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import Tensor, nn

from spladelake.errors import SpladelakeError, UsageError
from spladelake.names import shortened

log = logging.getLogger(__name__)

# Terms and tokens of a tile. A tile stays in a core's cache between the product and the maximum.
TILE_TERMS, TILE_TOKENS = 512, 2_048
# The fused head is used only if no weight differs by more than this from sentence-transformers' forward pass.
TOLERANCE = 1e-4
PROBES = ["a text of some words", "another", "and a third one that is a little longer than the others are"]


class LargestLogit(torch.autograd.Function):
    """The largest logit of every term in each text: max over tokens of hidden · weightᵀ, plus bias.

    - hidden: float32 (texts, tokens, width), padding filled with each text's first token.
    - weight: float32 (vocabulary, width).
    - bias: float32 (vocabulary).

    The result is float32 (texts, vocabulary). A gradient goes to the first token with the largest logit.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the largest logits; see the class."""
        ctx.save_for_backward(hidden, weight)
        texts, tokens, width = hidden.shape
        largest = hidden.new_empty((texts, len(weight)))
        for some in _slices(texts, max(1, TILE_TOKENS // tokens)):
            rows = hidden[some].reshape(-1, width)
            for terms in _slices(len(weight), TILE_TERMS):
                logits = (rows @ weight[terms].t()).view(-1, tokens, terms.stop - terms.start)
                torch.amax(logits, dim=1, out=largest[some, terms])
        return largest.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of hidden, weight and bias. A text costs its tokens times its terms with a gradient."""
        hidden, weight = ctx.saved_tensors
        of_hidden, of_weight = torch.zeros_like(hidden), torch.zeros_like(weight)
        for text in range(len(hidden)):
            terms = gradient[text].nonzero().squeeze(1)
            vectors = weight[terms]
            place = (hidden[text] @ vectors.t()).argmax(dim=0)
            passed = hidden.new_zeros((hidden.shape[1], len(terms)))
            passed.scatter_(0, place[None], gradient[text][terms][None])
            of_hidden[text] = passed @ vectors
            of_weight.index_add_(0, terms, passed.t() @ hidden[text])
        return of_hidden, of_weight, gradient.sum(dim=0)


def _slices(length: int, size: int) -> Iterator[slice]:
    return (slice(start, min(length, start + size)) for start in range(0, length, size))


def splade_weights(hidden: Tensor, mask: Tensor, decoder: nn.Linear, activation: str) -> Tensor:
    """Return the weight of every term in each text, float32 (texts, vocabulary): max over tokens of log1p(relu(logit)).

    - hidden: float32 (texts, tokens, width).
    - mask: (texts, tokens), 0 at padding, which follows the tokens.
    - decoder: the layer that turns hidden states into logits.
    - activation: "log1p_relu" applies log1p once more, "relu" does not.

    log1p and relu are monotone, so the maximum over the logits suffices. Source: SPLADE v2, arXiv 2109.10086.
    """
    filled = torch.where(mask[..., None].bool(), hidden, hidden[:, :1])
    bias = decoder.bias if decoder.bias is not None else decoder.weight.new_zeros(len(decoder.weight))
    weights = torch.log1p(torch.relu(LargestLogit.apply(filled, decoder.weight, bias)))
    return torch.log1p(weights) if activation == "log1p_relu" else weights


def use_fused_head(model: SparseEncoder) -> bool:
    """Switch a model to `splade_weights` if its vectors stay the same. Return whether it was switched.

    This works on a CPU only, with max pooling over a masked language model whose decoder is its last layer. The
    model's parameters and saved files do not change.
    """
    modules = list(model.children())
    if model.device.type != "cpu" or len(modules) != 2 or not isinstance(modules[1], SpladePooling):
        return False
    transformer: Any
    pooling: Any
    transformer, pooling = modules
    decoder: Any = transformer.model.get_output_embeddings()
    if pooling.pooling_strategy != "max" or not isinstance(decoder, nn.Linear):
        return False
    wanted = probe(model)

    def pool(features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        weights = splade_weights(
            features["token_embeddings"], features["attention_mask"], decoder, pooling.activation_function
        )
        features["sentence_embedding"] = weights
        return features

    # Only the instances change. Their classes, names and saved form remain sentence-transformers' own.
    decoder.__dict__["forward"] = lambda hidden: hidden
    pooling.__dict__["forward"] = pool
    try:
        fits = torch.allclose(probe(model), wanted, rtol=0, atol=TOLERANCE)
    except RuntimeError:  # The decoder's input does not have the shape of hidden states.
        fits = False
    if not fits:
        del decoder.__dict__["forward"], pooling.__dict__["forward"]
        log.info(
            "the fast code for the output layer does not support %s, so the training uses the slower code of "
            "sentence-transformers, which gives the same result",
            type(transformer.model).__name__,
        )
    return fits


@contextmanager
def trial(name: str) -> Iterator[None]:
    """Turn any error of another library into a UsageError about the start model.

    - name: the model's name as the user gave it.
    """
    try:
        yield
    except SpladelakeError:
        raise
    except Exception as error:  # Each architecture fails in its own way.
        said = shortened(next(iter(str(error).strip().splitlines()), ""))
        raise UsageError(
            f"--model {name}",
            f"the model cannot be loaded and run as a start model ({type(error).__name__}: {said})",
            "wanted a model that sentence-transformers can train as a SparseEncoder",
            "Start from another model.",
        ) from error


def probe(model: SparseEncoder) -> Tensor:
    """Return the vectors of a few short texts, float32 (texts, vocabulary)."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        features = model.preprocess(PROBES)
        found: Tensor = model(dict(features))["sentence_embedding"]
    model.train(was_training)
    return found.clone()
