"""Vectors of real texts: encoded once with splade-tiny, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spladelake.demo.collection import stdlib_collection
from spladelake.encoder import resolve_checkpoint
from spladelake.vectors import SparseVectors

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spladelake" / "bench"
MODEL = "splade-tiny"


@dataclass(frozen=True)
class RealVectors:
    """Encoded texts of a collection: the sides, and what they were encoded with."""

    documents: SparseVectors
    queries: SparseVectors
    model_id: str
    vocabulary_size: int


def real_vectors(collection: Path | None = None, *, most: int | None = None) -> RealVectors:
    """Vectors of a BEIR folder's corpus.jsonl and queries.jsonl, of a folder's train.jsonl (queries with passages), or
    without a folder of Python's documentation.

    most: documents and queries at most, chosen evenly over the collection.
    """
    documents, queries = read_texts(collection) if collection is not None else stdlib_texts()
    checkpoint = resolve_checkpoint(MODEL)
    sides = []
    for texts, kind in ((documents, "document"), (queries, "query")):
        if most is not None and len(texts) > most:
            texts = [texts[i * len(texts) // most] for i in range(most)]
        sides.append(encoded(texts, checkpoint.model_id, kind=kind))
    return RealVectors(sides[0], sides[1], checkpoint.model_id, checkpoint.vocabulary_size)


def stdlib_texts() -> tuple[list[str], list[str]]:
    """Texts of documents and queries of Python's documentation."""
    made = stdlib_collection()
    return [row[-1] for row in made.documents], [row[-1] for row in made.queries]


def read_texts(collection: Path) -> tuple[list[str], list[str]]:
    """Texts of documents (title and body) and queries, in the order of the collection."""
    if (collection / "train.jsonl").is_file():
        records = read_lines(collection / "train.jsonl")
        passages = dict.fromkeys(passage["text"] for r in records for passage in r["pos"] + r["neg"])
        return list(passages), [r["query"] for r in records]
    documents, queries = (
        [f"{r.get('title') or ''} {r.get('text') or ''}".strip() for r in read_lines(collection / name)]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    return documents, queries


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a jsonl file. Split at line feeds only: a text may hold U+0085."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def encoded(texts: list[str], model_id: str, *, kind: str) -> SparseVectors:
    """Vectors of the texts, from the cache where they were encoded before."""
    digest = hashlib.sha256(json.dumps([model_id, kind, texts]).encode()).hexdigest()[:24]
    path = CACHE / f"{kind}-{digest}.npz"
    if not path.is_file():
        from spladelake.encoder import SpladeEncoder  # torch, which only the first run needs

        encoder = SpladeEncoder.load(MODEL, device="cpu")
        found = encoder.encode_documents(texts) if kind == "document" else encoder.encode_queries(texts)
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, indptr=found.indptr, indices=found.indices, values=found.values)
        partial.replace(path)
    with np.load(path) as kept:
        return SparseVectors(kept["indptr"], kept["indices"], kept["values"])
