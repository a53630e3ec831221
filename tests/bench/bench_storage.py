"""Bytes a posting of the vectors of a lake, and what rounding costs: the figures of the README; the last line is JSON.

python tests/bench/bench_storage.py --lake msmarco-dl1920-lake    (as conf/msmarco-dl1920.yaml makes it)

Beside them what Lucene, BMP and Seismic need for the same vectors, loaded from what export_vectors writes. Compacted
vectors are written into the lake as bench-*, exports into a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spladelake.config import STEPS, checked
from spladelake.spark.jobs import JOBS
from spladelake.spark.session import spark_session
from spladelake.spark.tables import Lake
from support import engines

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
    options = parser.parse_args()
    session = spark_session("bench_storage", settings={"spark.master": "local[2]", "spark.driver.memory": "3g"})
    documents = Lake(options.lake).vectors(options.model, "documents")
    rows = documents.read(session)
    postings = rows.selectExpr("sum(size(indices)) AS n").first()["n"]
    figures: dict[str, Any] = {"documents": rows.count(), "postings": postings, "bytes_per_posting": {}, "changes": {}}
    with tempfile.TemporaryDirectory(prefix="bench-storage-") as folder:
        rows.write.parquet(f"{folder}/default")
        show(figures, "Spark's defaults", size(Path(folder) / "default", "*.parquet") / postings)
        for name, settings in SETTINGS.items():
            compacted(session, options, figures, name, settings)
        if not options.without_engines:
            others(session, options, Path(folder), figures, postings)
        compacted(session, options, figures, "target", TARGET)
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
    """Sizes of the indexes that other engines make of the exported vectors."""
    jar = engines.lucene_jar()
    common = {"lake": options.lake, "model": options.model}
    for output_format, how, name in (
        ("anserini", "impacts", "Lucene, impacts of 255 levels"),
        ("opensearch", "features", "Lucene, feature fields (OpenSearch, Elasticsearch)"),
    ):
        if jar is not None:
            output = folder / output_format
            job(session, "export_vectors", output=str(output), output_format=output_format, **common)
            show(figures, name, engines.lucene(jar, how, output, {}, k=10)[1] / postings)
            shutil.rmtree(output)
    from bmp import ciff2bmp

    output = folder / "ciff"
    job(session, "export_vectors", output=str(output), output_format="ciff", **common)
    show(figures, "CIFF file, 255 levels", size(output, "index.ciff") / postings)
    ciff2bmp(str(output / "index.ciff"), str(output / "index.bmp"), 32, False)
    show(figures, "BMP, 255 levels", size(output, "index.bmp") / postings)
    from seismic import SeismicIndex

    output = folder / "seismic"
    job(session, "export_vectors", output=str(output), output_format="seismic", **common)
    joined = output / "all.jsonl"
    with joined.open("wb") as target:
        for part in sorted(output.glob("part-*")):
            target.write(part.read_bytes())
    index = SeismicIndex.build(str(joined), num_threads=2)
    index.save(str(output / "index"))
    show(figures, "Seismic, its defaults", size(output, "index*") / postings)


def job(session: Any, name: str, **given: Any) -> dict[str, Any]:
    return JOBS[name](session, checked(STEPS[name], given, place=name))


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def show(figures: dict[str, Any], name: str, value: float) -> None:
    figures["bytes_per_posting"][name] = round(value, 3)
    print(f"{value:6.3f}  {name}", flush=True)


if __name__ == "__main__":
    main()
