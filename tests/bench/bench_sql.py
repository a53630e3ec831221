"""Time `search()` and `similar()` in SQL over an encoded collection, warm, in local[2]; the last line is JSON.

python tests/bench/bench_sql.py --lake msmarco-dl1920-lake    (as conf/msmarco-dl1920.yaml makes it)
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from spladelake.spark.session.start import spark_session
from spladelake.spark.sql import install

QUESTIONS = (
    "how is bread made", "what causes high blood pressure", "cost of a wedding in the united states",
    "who sings monk theme song", "difference between a mcdouble and a double cheeseburger",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--model", default="splade-tiny")
    parser.add_argument("--rounds", type=int, default=3, help="times that every question is asked")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    session = spark_session("bench_sql", settings={"spark.master": "local[2]", "spark.driver.memory": "3g"})
    started = time.monotonic()
    install(session, lake=options.lake, model=options.model)
    figures = {"install_s": round(time.monotonic() - started, 2)}
    row = session.sql("SELECT count(*) AS documents, sum(size(indices)) AS postings FROM document_vectors").first()
    figures |= row.asDict()
    ids = [row["id"] for row in session.sql("SELECT id FROM document_vectors ORDER BY id LIMIT 5").collect()]
    for name, statement, chosen in (
        ("search", "SELECT * FROM search('{}', 10)", list(QUESTIONS)),
        ("similar", "SELECT * FROM similar('{}', 10)", ids),
    ):
        seconds = []
        for asked in chosen[:1] + chosen * options.rounds:
            text = statement.format(asked)
            began = time.monotonic()
            found = session.sql(text).collect()
            seconds.append(time.monotonic() - began)
            assert len(found) == 10, text
        figures[f"{name}_first_s"] = round(seconds[0], 2)
        figures[f"{name}_warm_median_s"] = round(statistics.median(seconds[1:]), 2)
        figures[f"{name}_warm_most_s"] = round(max(seconds[1:]), 2)
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
