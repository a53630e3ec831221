"""The jobs by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spladelake.spark.encode import encode_texts
from spladelake.spark.evaluate import evaluate_run
from spladelake.spark.ingest import ingest_texts
from spladelake.spark.retrieve import retrieve_run
from spladelake.spark.upkeep import maintain_tables
from spladelake.spark.verify import verify_tables

# Each takes the session and the options of its own model in spladelake.config.STEPS.
JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "ingest_texts": ingest_texts,
    "encode_texts": encode_texts,
    "retrieve_run": retrieve_run,
    "evaluate_run": evaluate_run,
    "maintain_tables": maintain_tables,
    "verify_tables": verify_tables,
}
