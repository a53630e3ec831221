"""Time one question at a time, warm, with and without an index; the last line is JSON.

    python tests/bench/bench_search.py [--documents 1000000] [--out tests/bench/results/search.json]

The documents are made of real vectors (make_vectors.py), but bear the model_id of splade-tiny, so that SQL can encode
questions. `in_process` are questions of 22 terms on average, and the vectors of documents, ranked through the index as
`spladelake search` and the workers of SQL do: seconds, and bytes read of all bytes of the index. `sql` are statements
`search()` and `similar()` in local[2], with the texts of the documents. Without an index they read every vector, which
`--joined` limits to collections of this size.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.make_vectors import DOCUMENT_TERMS, QUERY_TERMS, Maker, ids_of, parts
from bench.vector_tables import write_vectors, write_vocabulary
from spladelake.config import IndexVectors
from spladelake.scoring import compile_kernels
from spladelake.spark.retrieve.index import index_vectors
from spladelake.spark.retrieve.indexed_search import folder_index
from spladelake.spark.retrieve.local_tables import local_tables
from spladelake.spark.session.start import spark_session
from spladelake.spark.sql import install
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS
from spladelake.spark.tables.write import replace_rows
from spladelake.vectors import SparseVectors
from support.real_vectors import MODEL, RealVectors, real_vectors

QUESTIONS = (
    "how do I copy a directory tree", "read a csv file with a header", "what does the time zone of a date mean",
    "start a thread and wait for it", "send a file over a socket",
)  # fmt: skip
ASKED, K = 50, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, action="append", help="number of documents; may be repeated")
    parser.add_argument("--joined", type=int, default=100_000, help="most documents to rank without an index")
    parser.add_argument("--collection", type=Path, help="BEIR folder to encode; else Python's documentation")
    parser.add_argument("--lake", type=Path, help="folder for the tables, which stay; else a temporary one")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    session = spark_session("bench_search", settings={"spark.master": "local[2]", "spark.driver.memory": "3g"})
    real = real_vectors(options.collection, most=10_000)
    compile_kernels()
    figures: dict[str, Any] = {"cores": os.cpu_count(), "k": K}
    for count in options.documents or [30_005]:
        folder = options.lake or Path(tempfile.mkdtemp())
        try:
            figures[str(count)] = measured(session, folder / str(count), real, count, joined=count <= options.joined)
        finally:
            if options.lake is None:
                shutil.rmtree(folder)
        figures["load_at_end"] = round(os.getloadavg()[0], 1)
        print(json.dumps(figures), flush=True)
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measured(session: SparkSession, lake: Path, real: RealVectors, count: int, *, joined: bool) -> dict[str, Any]:
    """The figures of a collection of that many documents."""
    maker = Maker.of(real.documents, terms=DOCUMENT_TERMS, seed=1)
    folder = lake / "vectors" / MODEL
    if not folder.exists():
        made = ((ids_of("d", *part), maker.rows(*part)) for part in parts(count))
        said = {"model": MODEL, "model_id": real.model_id, "vocabulary_size": str(real.vocabulary_size)}
        write_vectors(folder / "documents", made, model_id=real.model_id, properties=said)
        write_vocabulary(folder / "vocabulary", real.vocabulary_size, said)
        texts = session.range(count).select(
            F.concat(F.lit("d"), "id").alias("doc_id"), F.lit("").alias("title"), F.repeat(F.uuid(), 9).alias("text")
        )
        replace_rows(session, TableRef(path=f"{lake}/documents"), DOCUMENTS, texts, lineage=Lineage("bench", {}, {}))
    found: dict[str, Any] = {"vectors_bytes": size_of(folder / "documents")}
    if joined:
        found["sql_without_index"] = in_sql(session, lake, count)
    began = time.perf_counter()
    built = index_vectors(session, IndexVectors(lake=str(lake), model=MODEL))
    found["index_s"] = round(time.perf_counter() - began, 1)
    found |= {"blocks": built["blocks"], "index_bytes": size_of(folder / "index")}
    asked = Maker.of(real.queries, terms=QUERY_TERMS, seed=1 + 2**32).rows(0, ASKED)
    found["in_process"] = {
        "search": in_process(lake, asked), "similar": in_process(lake, maker.rows(0, ASKED // 10)),
    }  # fmt: skip
    found["sql"] = in_sql(session, lake, count)
    return found


def in_process(lake: Path, questions: SparseVectors) -> dict[str, float]:
    """Seconds and shares of the index's bytes that questions take, one at a time."""
    seconds, shares, reads = list[float](), list[float](), list[float]()
    size = size_of(lake / "vectors" / MODEL / "index")
    for n in [0, *range(len(questions))]:
        began = time.perf_counter()
        tables = local_tables(str(lake), MODEL)
        assert tables is not None
        index = folder_index(Lake(str(lake)), MODEL, tables)
        assert index is not None
        assert len(index.best(questions.take(np.array([n])), k=K)) == K
        seconds.append(time.perf_counter() - began)
        shares.append(index.counter.bytes / size)
        reads.append(index.counter.reads)
    return {
        "terms": round(float(questions.active_dims.mean()), 1), **summary(seconds[1:]),
        "bytes_share_mean": round(statistics.mean(shares), 4), "bytes_share_most": round(max(shares), 4),
        "reads_mean": round(statistics.mean(reads)),
    }  # fmt: skip


def in_sql(session: SparkSession, lake: Path, count: int) -> dict[str, Any]:
    """Seconds of statements, each asked once and then again."""
    own = session.newSession()
    install(own, lake=str(lake), model=MODEL)
    statements = [f"SELECT * FROM search('{question}', {K})" for question in QUESTIONS]
    alike = [f"SELECT * FROM similar('d{n * count // 5}', {K})" for n in range(5)]
    return {"search": timed(own, statements), "similar": timed(own, alike)}


def timed(session: SparkSession, statements: Sequence[str]) -> dict[str, float]:
    seconds = []
    for statement in [*statements[:2], *statements, *statements]:
        began = time.perf_counter()
        assert len(session.sql(statement).collect()) == K, statement
        seconds.append(time.perf_counter() - began)
    return {"first_s": round(seconds[0], 2), **summary(seconds[2:])}


def summary(seconds: Sequence[float]) -> dict[str, float]:
    return {"warm_median_s": round(statistics.median(seconds), 3), "warm_most_s": round(max(seconds), 3)}


def size_of(folder: Path) -> int:
    """Bytes of a table's data files."""
    return sum(file.stat().st_size for file in folder.glob("*.parquet"))


if __name__ == "__main__":
    main()
