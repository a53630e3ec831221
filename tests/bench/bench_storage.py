"""Bytes a posting of the vectors of a lake, and what rounding costs: the figures of the README; the last line is JSON.

python tests/bench/bench_storage.py --lake msmarco-dl1920-lake    (as conf/msmarco-dl1920.yaml makes it)

Beside them what Lucene, BMP and Seismic need for the same vectors, loaded from what export_vectors writes, and how much
of the top 10 of our run each finds. Compacted vectors are written into the lake as bench-*, exports into a temporary
folder. The last line is also written to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spladelake.config import JOBS, checked
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.sql_text import sql_string
from support import engines

K = 10
MEASURES = ("ndcg@10", "ndcg_cut_10", "mrr@10", "recall@100")
SETTINGS: dict[str, dict[str, Any]] = {
    "lossless": {},
    "lossless, split files": {"files": "split"},
    "6 bits": {"mantissa_bits": 6},
    "6 bits, split files": {"mantissa_bits": 6, "files": "split"},
    "255 levels": {"levels": 255},
}
TARGET = {"target": "ndcg@10 >= 0.995 of original", "files": "split"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--model", default="splade-tiny")
    parser.add_argument("--without-engines", action="store_true", help="only this project's own tables")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    session = spark_session("bench_storage", settings={"spark.master": "local[2]", "spark.driver.memory": "3g"})
    documents = Lake(options.lake).vectors(options.model, "documents")
    rows = documents.read(session)
    postings = rows.selectExpr("sum(size(indices)) AS n").first()["n"]
    figures: dict[str, Any] = {"documents": rows.count(), "postings": postings}
    figures |= {"bytes_per_posting": {}, "recall@10": {}, "changes": {}}
    with tempfile.TemporaryDirectory(prefix="bench-storage-") as folder:
        rows.write.parquet(f"{folder}/default")
        show(figures, "Spark's defaults", size(Path(folder) / "default", "*.parquet") / postings)
        for name, settings in SETTINGS.items():
            compacted(session, options, figures, name, settings)
        if not options.without_engines:
            others(session, options, Path(folder), figures, postings)
        compacted(session, options, figures, "target", TARGET)
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


def compacted(
    session: Any, options: argparse.Namespace, figures: dict[str, Any], name: str, given: dict[str, Any]
) -> None:
    """Write the vectors under some settings, and note their size and what they cost."""
    into = f"bench-{name.replace(' ', '-').replace(',', '')}"
    common = {"lake": options.lake, "model": options.model, "into": into, "measures": MEASURES, "force": True}
    result = job(session, "compact_vectors", **common, **given)
    chosen = [row for row in result["compactions"] if row["chosen"]]
    if "target" in given:
        name = f"target: {chosen[0]['settings']}"
    # Over the postings of the original, so that pruning shows.
    show(figures, name, result["bytes"] / figures["postings"])
    figures["changes"][name] = {
        row["measure"]: {
            "before": round(row["before"], 4),
            "delta": round(row["after"] - row["before"], 5),
            "p": round(row["randomisation_p"], 4),
        }
        for row in chosen
    }
    print(f"  {name}: {json.dumps(figures['changes'][name])}", flush=True)


def others(session: Any, options: argparse.Namespace, folder: Path, figures: dict[str, Any], postings: int) -> None:
    """Sizes of the indexes that other engines make of the exported vectors, and how much of our top 10 each finds."""
    asked = asked_of(session, options)

    def exported(output_format: str) -> Path:
        output = folder / output_format
        job(
            session, "export_vectors", lake=options.lake, model=options.model, output=str(output),
            output_format=output_format,
        )  # fmt: skip
        return output

    def shown(name: str, bytes_of_index: int, found: engines.Found) -> None:
        figures["recall@10"][name] = round(engines.recall(found, asked.wanted), 4)
        show(figures, name, bytes_of_index / postings)

    jar = engines.lucene_jar()
    for output_format, how, name, queries in (
        ("anserini", "impacts", "Lucene, impacts of 255 levels", asked.by_token),
        ("opensearch", "features", "Lucene, feature fields (OpenSearch, Elasticsearch)", asked.by_number),
    ):
        if jar is not None:
            found, size_of_index = engines.lucene(jar, how, exported(output_format), queries, k=K)
            shown(name, size_of_index, found)
    output = exported("ciff")
    show(figures, "CIFF file, 255 levels", size(output, "index.ciff") / postings)
    found = engines.bmp(output, asked.by_token, k=K)
    shown("BMP, 255 levels", size(output, "index.bmp"), found)
    output = exported("seismic")
    found, index = engines.seismic(output, asked.by_token, k=K, settings={})
    index.save(str(output / "index"))
    shown("Seismic, its defaults", size(output, "index*"), found)


def asked_of(session: Any, options: argparse.Namespace) -> SimpleNamespace:
    """Queries of the lake by token and by number, and what retrieve_run finds for them."""
    lake = Lake(options.lake)
    sides = {side: lake.vectors(options.model, side).read(session).collect() for side in ("queries", "vocabulary")}
    tokens = {row["term_id"]: row["token"] for row in sides["vocabulary"]}
    by_id = {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in sides["queries"]}
    wanted: engines.Found = {}
    run = lake.table("runs").read(session).where(f"run_id = {sql_string(options.model)} AND rank <= {K}")
    for row in run.orderBy("query_id", "rank").collect():
        wanted.setdefault(row["query_id"], []).append(row["doc_id"])
    return SimpleNamespace(
        by_token={i: {tokens[t]: w for t, w in query.items()} for i, query in by_id.items()},
        by_number={i: {str(t): w for t, w in query.items()} for i, query in by_id.items()},
        wanted=wanted,
    )


def job(session: Any, name: str, **given: Any) -> dict[str, Any]:
    return run_job(session, name, checked(JOBS[name].options, given, place=name))


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def show(figures: dict[str, Any], name: str, value: float) -> None:
    figures["bytes_per_posting"][name] = round(value, 3)
    print(f"{value:6.3f}  {name}", flush=True)


if __name__ == "__main__":
    main()
