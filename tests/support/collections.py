"""Collections for tests: the real ones where they are, and small ones made on the spot."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SPLADELAKE_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data")

# Tables of a lake whose documents splade-tiny has encoded.
ENCODED_TABLES = (
    "documents",
    "queries",
    "judgements",
    "vectors/splade-tiny/documents",
    "vectors/splade-tiny/vocabulary",
)


def collection(name: str) -> Path:
    """Folder of a real collection; skips the calling test where it is absent."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no collection at {folder}; set SPLADELAKE_DATA to the folder that holds {name}")
    return folder


def json_lines(path: Path) -> list[dict[str, str]]:
    """Records of a jsonl file. Split at line feeds only: a text may hold U+0085."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def write_lines(path: Path, records: Iterable[dict[str, object] | str]) -> Path:
    """Write records as jsonl; a string is written as it is."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


FRUIT = {
    "apple": "An apple is a round fruit that grows on trees and is eaten raw or pressed into juice.",
    "bread": "Bread is baked from flour and water, often with yeast to make the dough rise.",
    "mouse": "A computer mouse moves the pointer on the screen; older ones had a ball inside.",
    "river": "A river carries water from its source in the mountains to the sea.",
    "train": "Trains run on rails and carry passengers and freight between cities.",
}
QUESTIONS = {"q1": "which fruit can be pressed into juice", "q2": "where does a river flow", "q3": "how is bread made"}
RELEVANT = {("q1", "apple"): 2, ("q2", "river"): 1, ("q3", "bread"): 3, ("q3", "apple"): 0}


def write_fruit(folder: Path) -> Path:
    """A BEIR folder of five documents, three queries and four judgements."""
    write_lines(folder / "corpus.jsonl", [{"_id": i, "title": "", "text": t} for i, t in FRUIT.items()])
    write_lines(folder / "queries.jsonl", [{"_id": i, "text": t} for i, t in QUESTIONS.items()])
    rows = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{r}" for (q, d), r in RELEVANT.items())]
    write_lines(folder / "qrels" / "test.tsv", rows)
    return folder


WORDS = sorted({word.strip(".,;").lower() for text in FRUIT.values() for word in text.split()})


def write_drawn(folder: Path, *, documents: int = 60, queries: int = 40) -> Path:
    """Documents of drawn words, and queries of three words of one of them, which is judged relevant."""
    draw = random.Random(5)
    drawn = {f"d{i}": draw.choices(WORDS, k=14) for i in range(documents)}
    write_lines(folder / "corpus.jsonl", [{"_id": i, "title": "", "text": " ".join(w)} for i, w in drawn.items()])
    asked = {f"q{i}": (f"d{i}", draw.sample(drawn[f"d{i}"], 3)) for i in range(queries)}
    write_lines(folder / "queries.jsonl", [{"_id": i, "text": " ".join(w)} for i, (_, w) in asked.items()])
    rows = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t1" for q, (d, _) in asked.items())]
    write_lines(folder / "qrels" / "test.tsv", rows)
    return folder
