"""The jobs by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.spark.compact.job import compact_vectors
from spladelake.spark.encode.job import encode_texts
from spladelake.spark.evaluate.compare import compare_runs
from spladelake.spark.evaluate.job import evaluate_run
from spladelake.spark.exchange.export_runs import export_measures, export_run
from spladelake.spark.exchange.export_vectors import export_vectors
from spladelake.spark.exchange.import_run import import_run
from spladelake.spark.exchange.import_vectors import import_vectors
from spladelake.spark.ingest.job import ingest_texts
from spladelake.spark.rerank.fuse import fuse_runs
from spladelake.spark.rerank.job import rerank_run
from spladelake.spark.retrieve.index import index_vectors
from spladelake.spark.retrieve.job import retrieve_run
from spladelake.spark.session.small_plans import fitting_plans
from spladelake.spark.train.job import train_model
from spladelake.spark.train.mine import mine_pairs
from spladelake.spark.train.score_pairs import score_pairs
from spladelake.spark.upkeep.maintain import maintain_tables
from spladelake.spark.upkeep.verify import verify_tables

Run = Callable[..., dict[str, Any]]

_JOBS: dict[str, Run] = {
    "ingest_texts": ingest_texts,
    "encode_texts": encode_texts,
    "index_vectors": index_vectors,
    "compact_vectors": compact_vectors,
    "retrieve_run": retrieve_run,
    "rerank_run": rerank_run,
    "fuse_runs": fuse_runs,
    "evaluate_run": evaluate_run,
    "import_run": import_run,
    "export_run": export_run,
    "export_measures": export_measures,
    "export_vectors": export_vectors,
    "import_vectors": import_vectors,
    "compare_runs": compare_runs,
    "mine_pairs": mine_pairs,
    "score_pairs": score_pairs,
    "train_model": train_model,
    "maintain_tables": maintain_tables,
    "verify_tables": verify_tables,
}


def _fitted(job: Run) -> Run:
    """The job, run with plans that fit the size of its data."""

    @wraps(job)
    def run(session: SparkSession, options: Options) -> dict[str, Any]:
        with fitting_plans(session, options):
            return job(session, options)

    return run


# Each takes the session and the options of its own model in spladelake.config.STEPS.
JOBS = {name: _fitted(job) for name, job in _JOBS.items()}
