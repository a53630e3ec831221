"""The loss of a training: a loss of sentence-transformers inside its SpladeLoss, and the schedule of regularisers."""

from __future__ import annotations

from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.callbacks.splade_callbacks import SpladeRegularizerWeightSchedulerCallback
from sentence_transformers.sparse_encoder.losses import (
    SparseDistillKLDivLoss,
    SparseMarginMSELoss,
    SparseMultipleNegativesRankingLoss,
    SpladeLoss,
)
from torch import nn

from spladelake.config.training import Distillation

# Labels of a pair beyond one for each negative: scores have a label for the positive, margins do not. None: no labels.
LABELS: dict[str, int | None] = {"margin-mse": 0, "kl-divergence": 1, "ranking": None}


def splade_loss(model: SparseEncoder, settings: Distillation) -> SpladeLoss:
    """Return base loss + query_regularizer * FLOPS(queries) + document_regularizer * FLOPS(positives and negatives).

    FLOPS is the sum over terms of the squared mean weight in the batch (arXiv 2004.05665). The base loss is margin-mse
    (arXiv 2010.02666), kl-divergence (arXiv 2010.11386), or ranking, the softmax over the documents of the batch.
    """
    base: nn.Module
    if settings.loss == "margin-mse":
        base = SparseMarginMSELoss(model)
    elif settings.loss == "kl-divergence":
        base = SparseDistillKLDivLoss(model, temperature=settings.temperature)
    else:
        base = SparseMultipleNegativesRankingLoss(model)
    return SpladeLoss(
        model,
        base,
        document_regularizer_weight=settings.document_regularizer,
        query_regularizer_weight=settings.query_regularizer,
    )


def regularizer_schedule(loss: SpladeLoss, settings: Distillation) -> SpladeRegularizerWeightSchedulerCallback:
    """Return the callback that raises both regularisers from 0 to the weights of the loss over the first steps."""
    return SpladeRegularizerWeightSchedulerCallback(
        loss, scheduler_type=settings.regularizer_schedule, warmup_ratio=settings.regularizer_warmup
    )
