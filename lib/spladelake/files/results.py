"""Write measures in the forms of other tools: sentence-transformers' csv, a model card, and trec_eval's output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spladelake.errors import DataError
from spladelake.files.trec import trec_id, write_lines
from spladelake.measures import CARD_MEASURES

MeasureRow = tuple[str, str, float]  # measure, query_id, value

SIZES = ("query_active_dims", "query_sparsity_ratio", "corpus_active_dims", "corpus_sparsity_ratio", "avg_flops")
"""Sizes that sentence-transformers' evaluator of sparse models reports besides the measures, in its order."""

_SPELLED = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "mrr": "MRR",
    "ndcg": "NDCG",
    "map": "MAP",
}


def _csv_order() -> list[str]:
    """Return the card's measures in the order of the csv: precision and recall alternate."""
    pairs = [f"{measure}@{k}" for k in (1, 3, 5, 10) for measure in ("precision", "recall")]
    return [name for name in CARD_MEASURES if name.startswith("accuracy")] + pairs + ["mrr@10", "ndcg@10", "map@100"]


def evaluator_csv(means: Mapping[str, float], *, place: str) -> str:
    """Return the csv of sentence-transformers' SparseInformationRetrievalEvaluator, with one row outside of training.

    Without the sizes of vectors, as for another tool's BM25, it is the csv of InformationRetrievalEvaluator, which has
    no columns for them.

    - means: mean of each measure and size, by our names.
    - place: the table of the measures, for messages.

    Raises DataError if a measure is missing.
    """
    names = _csv_order()
    missing = [name for name in names if name not in means]
    if missing:
        fix = "Run evaluate_run with --measures card."
        raise DataError(
            place,
            f"the run has no {missing[0]}",
            f"wanted all {len(names)} measures that --measures card computes",
            fix,
        )
    sizes = [name for name in SIZES if name in means]
    header = [f"dot-{_SPELLED[name.split('@')[0]]}@{name.split('@')[1]}" for name in names]
    cells = [str(float(means[name])) for name in [*names, *sizes]]
    return ",".join(["epoch", "steps", *header, *sizes]) + "\n" + ",".join(["-1", "-1", *cells]) + "\n"


def card_metrics(means: Mapping[str, float]) -> dict[str, float]:
    """Return metrics by the names of sentence-transformers' model cards, such as `dot_ndcg@10`.

    The measures of trec_eval keep their names. A mean over no query is left out, because a card holds only numbers.
    """
    named = {f"dot_{name}" if "@" in name else name: float(value) for name, value in means.items()}
    return {name: value for name, value in named.items() if math.isfinite(value)}


def model_card_block(means: Mapping[str, float], *, model: str, dataset: str) -> str:
    """Return the metadata block of a Hugging Face model card with the metrics, as sentence-transformers writes it.

    The block is yaml between two lines of dashes, for the top of a README.md.

    - means: mean of each measure and size, by our names.
    - model: the model's name.
    - dataset: the data set's name.
    """
    from huggingface_hub.repocard_data import EvalResult, ModelCardData

    metrics = card_metrics(means)
    results = [
        EvalResult(
            task_type="sparse-information-retrieval",
            task_name="Sparse Information Retrieval",
            dataset_type=dataset,
            dataset_name=dataset.replace("_", " ").replace("-", " "),
            metric_type=name,
            metric_name=name.replace("_", " ").title(),
            metric_value=value,
        )
        for name, value in metrics.items()
    ]
    data: Any = ModelCardData(model_name=model, eval_results=results, metrics=list(metrics))
    return f"---\n{data.to_yaml()}\n---\n"


def write_trec_eval(path: Path, rows: Iterable[MeasureRow]) -> int:
    """Write the output of `trec_eval -q`: measure, query_id and value, with `all` as the query_id of means.

    Returns the number of lines. Raises DataError for a query_id with white space.
    """
    return write_lines(path, rows, _measure_line)


def _measure_line(row: MeasureRow, place: str) -> str:
    measure, query_id, value = row
    return f"{measure:<22}\t{trec_id('query_id', query_id, place=place)}\t{value:.4f}\n"
