"""Small training data in the layout that `spladelake.training` reads, made from the fruit of `collections`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spladelake.config.training import Distillation
from spladelake.encoder import resolve_checkpoint
from spladelake.training import TrainingWork
from support.collections import FRUIT, QUESTIONS

DOCUMENTS = list(FRUIT.values())
# (query, positive, two negatives) as row numbers, and the teacher's scores of the three documents.
PAIRS = [
    (0, [0, 1, 3], [9.0, 2.5, 1.0]),
    (1, [3, 4, 2], [7.5, 4.0, 0.5]),
    (2, [1, 0, 4], [8.0, 3.5, 2.0]),
    (0, [0, 4, 2], [9.0, 1.5, 3.0]),
    (2, [1, 3, 2], [8.0, 0.5, 1.5]),
    (1, [3, 0, 1], [7.5, 1.0, 2.5]),
]


def margins(scores: Sequence[float]) -> list[float]:
    return [scores[0] - score for score in scores[1:]]


def write_part(folder: Path, name: str, columns: dict[str, Any]) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name / "part-0.parquet")


def write_data(folder: Path, labels: list[list[float]] | None, *, dev: bool = True) -> Path:
    """Five documents, three queries, six pairs, and the same collection as the dev part."""
    for name, texts in (("queries", list(QUESTIONS.values())), ("documents", DOCUMENTS)):
        write_part(folder, name, {"row": pa.array(range(len(texts)), pa.int64()), "text": texts})
    pairs: dict[str, Any] = {
        "query": pa.array([query for query, _, _ in PAIRS], pa.int64()),
        "documents": pa.array([documents for _, documents, _ in PAIRS], pa.list_(pa.int64())),
    }
    if labels is not None:
        pairs["label"] = pa.array(labels, pa.list_(pa.float64()))
    write_part(folder, "pairs", pairs)
    if dev:
        write_part(folder, "dev_queries", {"id": list(QUESTIONS), "text": list(QUESTIONS.values())})
        write_part(folder, "dev_documents", {"id": list(FRUIT), "text": DOCUMENTS})
        judged = {"query_id": ["q1", "q2", "q3"], "doc_id": ["apple", "river", "bread"], "relevance": [2, 1, 1]}
        write_part(folder, "dev_judgements", judged)
    return folder


def small_work(
    folder: Path, *, labels: list[list[float]] | None = None, dev: bool = True, **settings: Any
) -> TrainingWork:
    """A training of splade-tiny on these data: two pairs a step."""
    given = {"batch_size": 2, "max_steps": 4, "learning_rate": 1e-3, "max_length": 24, "log_steps": 1, **settings}
    if labels is None:
        labels = [margins(scores) for _, _, scores in PAIRS]
    work = TrainingWork(
        folder, Distillation(**given), start=resolve_checkpoint("splade-tiny").folder, name="splade-tiny"
    )
    write_data(work.data, labels, dev=dev)
    return work
