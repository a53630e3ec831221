"""Every job on a lake on S3, in one session: python -m support.s3_jobs ENDPOINT LOG FOLDER.

Prints one line of JSON a job: its name, its exit code, its requests by method, and the end of its output.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from spladelake.cli import main as command
from spladelake.spark.session.start import spark_session
from support import s3
from support.every_job import EVERY_JOB, TINY

LAKE = f"{s3.BUCKET}/lake"
FORMATS = ("ciff", "seismic", "opensearch", "qdrant", "npz", "parquet")
# These read and write on the store too, not in the folder.
MOVED = ("{folder}/out", "{folder}/tiny.trec", "{folder}/tiny.csv")


def lines(folder: Path) -> list[list[str]]:
    """Doctor, every job, a second encode, and an export of each further format."""

    def given(word: str) -> str:
        return word.replace("{folder}", s3.BUCKET) if word in MOVED else word.format(folder=folder)

    jobs = [[job, *map(given, words)] for job, words in EVERY_JOB]
    jobs[2:2] = [["encode_texts", *TINY]]
    exports = [
        ["export_vectors", *TINY, "--output", f"{s3.BUCKET}/{name}", "--output-format", name] for name in FORMATS
    ]
    return [["doctor"], *jobs[:-2], *exports, *jobs[-2:]]


def main(endpoint: str, log: str, folder: str) -> None:
    settings = {**s3.settings(endpoint), "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2"}
    spark_session("every job on S3", settings=settings, quick=True)
    _, at = s3.requests(Path(log))
    for job, *words in lines(Path(folder)):
        out = io.StringIO()
        with redirect_stdout(out):
            code = command([job, "--lake", LAKE, *words])
        found, at = s3.requests(Path(log), at)
        print(json.dumps({"job": job, "code": code, "requests": found, "out": out.getvalue()[-2000:]}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
