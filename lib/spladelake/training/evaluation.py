"""Measure a checkpoint on the dev part with this project's encoder, exact retrieval and measures."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.model import BaseModel

from spladelake.encoder import SpladeEncoder
from spladelake.files.results import card_metrics
from spladelake.measures import CARD_MEASURES, parse_measure
from spladelake.scoring import TopK, count_products, query_passes, term_counts
from spladelake.training.data import HeldOut
from spladelake.vectors import SparseVectors

# Ranks to retrieve: the card's deepest measure is map@100.
DEPTH = 100


def held_out_measures(encoder: SpladeEncoder, held_out: HeldOut) -> dict[str, float]:
    """Return the card's measures and sizes of a model on held-out queries, by our names.

    Every query with a relevant document counts, with 0 if retrieval finds none. avg_flops is the mean number of
    products in the score of a query and a document, over all pairs.
    """
    doc_ids = sorted(held_out.documents)
    query_ids = [i for i in sorted(held_out.queries) if any(r > 0 for r in held_out.judgements.get(i, {}).values())]
    documents = encoder.encode_documents([held_out.documents[i] for i in doc_ids])
    queries = encoder.encode_queries([held_out.queries[i] for i in query_ids])
    size = encoder.checkpoint.vocabulary_size
    found = _relevance(queries, documents, query_ids, doc_ids, held_out, size)
    judged = [np.array(list(held_out.judgements[i].values()), dtype=np.int32) for i in query_ids]
    measures = {}
    for name in CARD_MEASURES:
        measure = parse_measure(name)
        values = [measure(found[i], judged[i]) for i in range(len(query_ids))]
        measures[name] = float(np.mean(values)) if values else math.nan
    together = count_products(term_counts(documents, vocabulary_size=size), term_counts(queries, vocabulary_size=size))
    return {
        **measures,
        "query_active_dims": float(queries.active_dims.mean()),
        "corpus_active_dims": float(documents.active_dims.mean()),
        "avg_flops": together / max(1, len(queries) * len(documents)),
    }


def _relevance(
    queries: SparseVectors, documents: SparseVectors, query_ids: list[str], doc_ids: list[str], held_out: HeldOut,
    size: int,
) -> list[Any]:  # fmt: skip
    """Return the judged relevance at each rank of each query: int32 (DEPTH), 0 for an unjudged document."""
    found = [np.zeros(DEPTH, dtype=np.int32) for _ in query_ids]
    for part in query_passes(queries, vocabulary_size=size, k=DEPTH):
        best = TopK(part, k=DEPTH)
        best.add_vectors(documents, doc_ids)
        ranked = best.result()
        rows = zip(ranked.queries.tolist(), ranked.ranks.tolist(), ranked.doc_ids.to_strings(), strict=True)
        for query, rank, doc_id in rows:
            found[query][rank - 1] = held_out.judgements[query_ids[query]].get(doc_id, 0)
    return found


class HeldOutEvaluator(BaseEvaluator):
    """The evaluator that sentence-transformers' trainer calls for a checkpoint.

    It saves the model and loads it as users do. It names measures like sentence-transformers' own evaluator, so model
    cards look the same.
    """

    def __init__(self, held_out: HeldOut, *, name: str, best: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held_out, self.name = held_out, name
        self.primary_metric = f"{name}_dot_{best}"
        self.greater_is_better = True

    def __call__(
        self, model: BaseModel, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the measures of the model, each name prefixed with `name`."""
        with tempfile.TemporaryDirectory(prefix="spladelake-checkpoint-") as folder:
            model.save_pretrained(folder, create_model_card=False)
            encoder = SpladeEncoder.load(folder, device=str(model.device))
            measures = held_out_measures(encoder, self.held_out)
        metrics: dict[str, float] = self.prefix_name_to_metrics(card_metrics(measures), self.name)
        self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics

    @property
    def description(self) -> str:
        """The heading of the table in the model card."""
        return "Sparse Information Retrieval"

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the evaluation, for the model card."""
        return {"queries": len(self.held_out.queries), "documents": len(self.held_out.documents), "retrieval": "exact"}
