"""The engines that exported vectors are for: each loads a folder that export_vectors wrote and answers queries."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyspark

Query = Mapping[str, float]
Found = dict[str, list[str]]

LUCENE = "9.12.3"  # the last one for Java 17
JAVA = Path(__file__).with_name("LuceneSearch.java")


def lucene_jar() -> Path | None:
    """Lucene from Maven Central, fetched once by Maven; None without Maven or a Java compiler."""
    jar = Path.home() / f".m2/repository/org/apache/lucene/lucene-core/{LUCENE}/lucene-core-{LUCENE}.jar"
    if not shutil.which("mvn") or not shutil.which("javac"):
        return None
    if not jar.is_file():
        artifact = f"-Dartifact=org.apache.lucene:lucene-core:{LUCENE}"
        subprocess.run(["mvn", "-q", "dependency:get", artifact, "-Dtransitive=false"], check=True, timeout=240)
    return jar


def lucene(jar: Path, how: str, folder: Path, queries: Mapping[str, Query], *, k: int) -> tuple[Found, int]:
    """Answers and bytes of an index in Lucene. how: features (of bulk lines) or impacts (of Anserini's)."""
    index = folder.with_name(f"{folder.name}-lucene")
    shutil.rmtree(index, ignore_errors=True)
    asked = folder.with_name(f"{folder.name}-queries.jsonl")
    asked.write_text("".join(json.dumps({"id": i, "vector": v}) + "\n" for i, v in queries.items()), encoding="utf-8")
    jackson = Path(pyspark.__file__).parent / "jars" / "*"
    command = ["java", "-cp", f"{jar}:{jackson}", str(JAVA), how, str(folder), str(asked), str(index), str(k)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=280).stdout
    found = json.loads(out)
    return found["results"], int(found["bytes"])


def bmp(folder: Path, queries: Mapping[str, Query], *, k: int) -> Found:
    """Block-max pruning over a CIFF file, in its exact setting."""
    from bmp import Searcher, ciff2bmp

    index = folder / "index.bmp"
    ciff2bmp(str(folder / "index.ciff"), str(index), 32, False)
    searcher = Searcher(str(index))
    return {i: list(searcher.search(dict(query), k, 1.0, 1.0)[0]) for i, query in queries.items()}


# Lists of Seismic that leave no posting out.
WHOLE_LISTS = {"n_postings": 100_000, "summary_energy": 1.0, "max_fraction": 100.0}


def seismic(
    folder: Path, queries: Mapping[str, Query], *, k: int, settings: Mapping[str, float] = WHOLE_LISTS
) -> tuple[Found, Any]:
    """Answers of Seismic, which skips nothing of its lists, and its index; documents carry their ids as content."""
    from seismic import SeismicIndex, get_seismic_string

    file = folder / "all.jsonl"  # it reads one file
    file.write_bytes(b"".join(part.read_bytes() for part in sorted(folder.glob("part-*.jsonl"))))
    index = SeismicIndex.build(str(file), num_threads=2, **settings)
    ids = {}
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line:
            record = json.loads(line)
            ids[str(record["id"])] = record["content"]
    found = {}
    for i, query in queries.items():
        terms = np.array(list(query), dtype=get_seismic_string())
        weights = np.array(list(query.values()), dtype=np.float32)
        hits = index.search(i, terms, weights, k=k, query_cut=len(terms), heap_factor=0.0)
        found[i] = [ids[str(doc_id)] for _, _, doc_id in hits]
    return found, index


def qdrant(folder: Path, queries: Mapping[str, Mapping[int, float]], *, k: int) -> Found:
    """Qdrant in memory, through its own client."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("c", vectors_config={}, sparse_vectors_config={"splade": models.SparseVectorParams()})
    lines = (line for file in sorted(folder.glob("part-*")) for line in file.read_text(encoding="utf-8").split("\n"))
    points = [models.PointStruct.model_validate(json.loads(line)) for line in lines if line]
    client.upsert("c", points)
    found = {}
    for i, query in queries.items():
        vector = models.SparseVector(indices=list(query), values=list(query.values()))
        hits = client.query_points("c", query=vector, using="splade", limit=k, with_payload=True).points
        found[i] = [hit.payload["doc_id"] for hit in hits]
    return found


def matrix(folder: Path, queries: Mapping[str, Mapping[int, float]], *, k: int) -> Found:
    """scipy's sparse product; equal scores by id."""
    import scipy.sparse as sp

    files = sorted(folder.glob("part-*.npz"))
    documents = sp.vstack([sp.load_npz(file) for file in files], format="csr").astype(np.float64)
    ids = np.concatenate([np.load(file)["ids"] for file in files])
    found = {}
    for i, query in queries.items():
        dense = np.zeros(documents.shape[1])
        dense[list(query)] = list(query.values())
        scores = documents @ dense
        order = sorted(np.flatnonzero(scores), key=lambda row: (-scores[row], ids[row]))[:k]
        found[i] = [str(ids[row]) for row in order]
    return found


def splade_index(folder: Path, queries: Mapping[str, Mapping[int, float]], *, k: int) -> Found:
    """splade-index, which asks a model for every vector: one that has those of the matrices ready."""
    import scipy.sparse as sp
    import torch
    from splade_index import SPLADE

    files = sorted(folder.glob("part-*.npz"))
    documents = sp.vstack([sp.load_npz(file) for file in files], format="coo")
    ids = [str(i) for file in files for i in np.load(file)["ids"]]
    places = torch.tensor(np.stack([documents.row, documents.col]), dtype=torch.int64)
    rows = torch.sparse_coo_tensor(places, torch.tensor(documents.data), documents.shape)

    def encoded(names: list[str], **_: Any) -> list[torch.Tensor]:
        made = {n: queries.get(n, {0: 1.0}) for n in names}  # it asks a question of its own first
        size = (documents.shape[1],)
        return [torch.sparse_coo_tensor([list(q)], list(q.values()), size, dtype=torch.float32) for q in made.values()]

    model = SimpleNamespace(
        encode_document=lambda texts, **_: rows, encode_query=encoded, tokenizer=SimpleNamespace(get_vocab=dict)
    )
    retriever = SPLADE(backend="numba")
    retriever.index(model, ids, document_ids=ids, show_progress=False)
    found = retriever.retrieve(list(queries), k=k, show_progress=False)
    hits = zip(found.doc_ids, found.scores, strict=True)
    kept = [[str(name) for name, score in zip(*hit, strict=True) if score > 0] for hit in hits]
    return dict(zip(queries, kept, strict=True))


def recall(found: Found, wanted: Found) -> float:
    """Mean share of the wanted documents that were found."""
    shares = [len(set(found.get(i, ())) & set(ids)) / len(ids) for i, ids in wanted.items() if ids]
    return float(np.mean(shares))
