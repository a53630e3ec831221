"""sentence-transformers as the outside reference: its evaluator, run on vectors that are given."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator

Vector = tuple[list[int], list[float]]


class GivenVectors:
    """Stands where the evaluator wants a model: a text is an id, and its encoding is the vector of that id."""

    similarity_fn_name = "dot"
    model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *args, **kwargs: None)
    sparsity = staticmethod(SparseEncoder.sparsity)

    def __init__(self, queries: Mapping[str, Vector], documents: Mapping[str, Vector], vocabulary_size: int) -> None:
        self.queries, self.documents, self.size = queries, documents, vocabulary_size

    def encode_query(self, ids: list[str], **_: Any) -> torch.Tensor:
        return self._sparse([self.queries[i] for i in ids])

    def encode_document(self, ids: list[str], **_: Any) -> torch.Tensor:
        return self._sparse([self.documents[i] for i in ids])

    def _sparse(self, rows: list[Vector]) -> torch.Tensor:
        row_of = [row for row, (indices, _) in enumerate(rows) for _ in indices]
        terms = [term for indices, _ in rows for term in indices]
        weights = [weight for _, values in rows for weight in values]
        return torch.sparse_coo_tensor(
            torch.tensor([row_of, terms], dtype=torch.long), torch.tensor(weights, dtype=torch.float32),
            (len(rows), self.size),
        ).coalesce()  # fmt: skip

    @staticmethod
    def similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(a, b.t().to_dense())


def reference_measures(
    queries: Mapping[str, Vector], documents: Mapping[str, Vector], relevant: Mapping[str, set[str]], *,
    vocabulary_size: int = 30_522,
) -> dict[str, float]:  # fmt: skip
    """What sentence-transformers' SparseInformationRetrievalEvaluator reports, under our names."""
    evaluator = SparseInformationRetrievalEvaluator(
        queries={i: i for i in queries}, corpus={i: i for i in documents}, relevant_docs=dict(relevant),
        corpus_chunk_size=2_000, show_progress_bar=False, write_csv=False,
    )  # fmt: skip
    model: Any = GivenVectors(queries, documents, vocabulary_size)
    found = evaluator(model)
    return {name.removeprefix("dot_"): float(value) for name, value in found.items()}
