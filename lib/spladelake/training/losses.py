"""The loss of a training: one of sentence-transformers' under its SpladeLoss, with the schedule of the regularisers."""

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

# Labels that a pair has beside one for each negative: margins have none, scores that of the positive.
LABELS: dict[str, int | None] = {"margin-mse": 0, "kl-divergence": 1, "ranking": None}


def splade_loss(model: SparseEncoder, settings: Distillation) -> SpladeLoss:
    """Base loss + query_regularizer * FLOPS(queries) + document_regularizer * FLOPS(positives and negatives).

    FLOPS is the sum over terms of the squared mean weight in the batch (arXiv 2004.05665); margin-mse is arXiv
    2010.02666, kl-divergence arXiv 2010.11386, ranking the softmax over the documents of the batch.
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
    """What raises both weights from 0 to those of the loss over the first steps."""
    return SpladeRegularizerWeightSchedulerCallback(
        loss, scheduler_type=settings.regularizer_schedule, warmup_ratio=settings.regularizer_warmup
    )
