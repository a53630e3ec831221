"""Make lib/spladelake/forecast/slopes.json, which `spladelake forecast` reads, of the records in tests/bench/results.

    python tests/bench/fit_forecast.py [--check]

Each line goes through the smallest and the largest size that was measured and is compared with the one between; beside
that, the line through the two smaller ones is compared with the largest. --check only says whether the file is what
the records give.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import spladelake.forecast
from spladelake.forecast.slopes import FILE, EncodeSlopes, Line, RetrieveSlopes, Slopes, fitted

RESULTS = Path(__file__).parent / "results"
SHIPPED = Path(spladelake.forecast.__file__).with_name(FILE)
REFERENCE = "splade-tiny"
MODELS = (REFERENCE, "mini", "distilbert")
# The name in retrieve_spark.json of the seconds, and of the memory, of each source.
SOURCES = {"vectors": ("from_vectors_s", "peak_rss_mb"), "index": ("from_index_s", "index_peak_rss_mb")}
RECORDS = ("encode_spark", *(f"encode_{model}" for model in MODELS), "retrieve_spark", "retrieve_kernel", "volumes")


def main() -> int:
    """Fit, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = slopes_text(RESULTS)
    if options.check:
        return int(text != SHIPPED.read_text(encoding="utf-8"))
    SHIPPED.write_text(text, encoding="utf-8")
    print(text)
    return 0


def slopes_text(results: Path) -> str:
    """The file, of the records in a folder."""
    records = {name: json.loads((results / f"{name}.json").read_text(encoding="utf-8")) for name in RECORDS}
    return json.dumps(rounded(asdict(slopes_from(records))), indent=1) + "\n"


def slopes_from(records: dict[str, Any]) -> Slopes:
    """Slopes from the records by name."""
    spark, volumes = records["retrieve_spark"], records["volumes"]
    slots, rows = spark["cores"], spark["queries"] * spark["k"]
    handed_over = {math.log(n / slots): of["candidates"] / rows / slots for n, of in by_size(spark).items()}
    largest = by_size(volumes)[max(by_size(volumes))]["vectors"]
    return Slopes(
        records=tuple(f"{name}.json" for name in RECORDS),
        slots=slots,
        encode=encode_slopes(records),
        retrieve=retrieve_slopes(records),
        index_s=line_of(spark, "index_s"),
        index_bytes=line_of(spark, "index_mb", scale=1e6),
        candidates=fitted(handed_over),
        candidate_bytes=largest["shuffle_bytes"] / largest["candidates"],
        row_bytes=largest["table_bytes"] / largest["rows"],
    )


def encode_slopes(records: dict[str, Any]) -> EncodeSlopes:
    """What encoding takes. The tokens of the timed texts are those that the bare encoder reads in its time for them."""
    spark, bare = records["encode_spark"], {model: records[f"encode_{model}"] for model in MODELS}
    seconds = spark.get("seconds_by_size") or {spark["docs"]: spark["docs"] / spark["job_docs_s"]}
    memory = ("peak_rss_mb", "peak_rss_mb_of_256_texts")
    return EncodeSlopes(
        reference=REFERENCE,
        tokens=bare[REFERENCE]["tokens_per_s"] / spark["bare_docs_s"],
        seconds=fitted({float(size): taken for size, taken in seconds.items()}),
        speed={model: found["ours_docs_s"] / bare[REFERENCE]["ours_docs_s"] for model, found in bare.items()},
        worker_mb={model: max(found[name] for name in memory) for model, found in bare.items()},
        shuffle=volume_line(records["volumes"], "encode", "shuffle_bytes"),
        table=volume_line(records["volumes"], "encode", "table_bytes"),
        postings=volume_line(records["volumes"], "encode", "postings"),
    )


def retrieve_slopes(records: dict[str, Any]) -> RetrieveSlopes:
    """What retrieval takes."""
    spark = records["retrieve_spark"]
    largest = max(by_size(spark))
    return RetrieveSlopes(
        queries=spark["queries"],
        k=spark["k"],
        products=by_size(spark)[largest]["products"] / largest / spark["queries"],
        products_per_s=records["retrieve_kernel"]["products_per_s"],
        job_s=spark["sql"]["blocks_s"],
        seconds={source: line_of(spark, name) for source, (name, _) in SOURCES.items()},
        slot_mb={
            source: max(found[name] for found in by_size(spark).values()) / spark["cores"]
            for source, (_, name) in SOURCES.items()
        },
    )


def by_size(record: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The parts of a record that are of a number of documents."""
    return {int(key): value for key, value in record.items() if key.isdigit()}


def line_of(record: dict[str, Any], name: str, *, scale: float = 1.0) -> Line:
    """How a figure grows with the number of documents."""
    return fitted({float(size): found[name] * scale for size, found in by_size(record).items()})


def volume_line(record: dict[str, Any], step: str, name: str) -> Line:
    """How the bytes of a step grow with the number of documents."""
    return fitted({float(size): found[step][name] for size, found in by_size(record).items()})


def rounded(value: Any) -> Any:
    """Six digits of every number that is not whole: more than was measured, and the same on every machine."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.6g}")
    return value


if __name__ == "__main__":
    sys.exit(main())
