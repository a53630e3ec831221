"""`spladelake demo`: every step from ingest to evaluation, on Python's own docstrings, with a packaged model."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from spladelake.config import EncodeTexts, EvaluateRun, IngestTexts, RetrieveRun
from spladelake.demo.collection import DEMO_QUESTIONS, DemoCollection, stdlib_collection, write_beir
from spladelake.display.results import measures_table, step_lines
from spladelake.encoder import resolve_checkpoint
from spladelake.spark.jobs import run_job
from spladelake.spark.retrieve.search import search_documents, search_folder
from spladelake.spark.session.progress import stage_line
from spladelake.spark.session.start import spark_session
from spladelake.spark.session.step_descriptions import step_description

MODEL = "splade-tiny"
SHOWN_DOCUMENTS = 5
SHOWN_TERMS = 5


def run_demo(*, lake: str | None, documents: int | None, settings: dict[str, str]) -> dict[str, Any]:
    """Ingest, encode, retrieve and evaluate the standard library's docstrings, then answer three questions.

    - lake: folder of the tables; None for a temporary folder.
    - documents: number of documents to use; None for all.
    - settings: Spark settings.

    Returns the results of the steps by name.
    """
    started = time.monotonic()
    console = Console(highlight=False)
    resolve_checkpoint(MODEL)  # a missing model is an error before anything slow begins
    with ExitStack() as cleanup:
        work = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="spladelake-demo-")))
        root = lake or str(work / "lake")
        # Python reads the files while Java starts.
        reader = cleanup.enter_context(ThreadPoolExecutor(max_workers=1))
        parsing = reader.submit(stdlib_collection)
        session = spark_session("spladelake demo", settings=settings, quick=True)
        collection = smaller(parsing.result(), documents)
        write_beir(collection, work / "collection")
        console.print(
            f"Python's own documentation: {len(collection.documents):,} docstring bodies are the documents, "
            f"{len(collection.queries):,} first lines the queries. A query should find its own body."
        )
        results = _run_steps(session, root, work / "collection", console)
        console.print(measures_table(results["evaluate_run"], title=f"{MODEL}: known-item search"))
        for question in DEMO_QUESTIONS:
            _show_answer(question, session, root, console)
        console.print(f"\nDone in {time.monotonic() - started:,.0f} s.", end=" ")
        if lake:
            console.print(f"The tables are in {root}.")
        else:
            console.print("The tables were temporary. `spladelake demo --lake demo-lake` keeps them.")
        return results


def smaller(collection: DemoCollection, documents: int | None) -> DemoCollection:
    """Return the first `documents` documents with their queries and judgements; None keeps all."""
    if documents is None:
        return collection
    kept = collection.documents[:documents]
    ids = {row[0] for row in kept}
    judgements = tuple(row for row in collection.judgements if row[1] in ids)
    asked = {row[0] for row in judgements}
    queries = tuple(row for row in collection.queries if row[0] in asked)
    return DemoCollection(kept, queries, judgements, collection.summary)


def _run_steps(session: SparkSession, lake: str, source: Path, console: Console) -> dict[str, dict[str, Any]]:
    steps = {
        "ingest_texts": IngestTexts(lake=lake, source=str(source)),
        "encode_texts": EncodeTexts(lake=lake, model=MODEL),
        "retrieve_run": RetrieveRun(lake=lake, model=MODEL),
        "evaluate_run": EvaluateRun(lake=lake, model=MODEL),
    }
    results = {}
    for name, options in steps.items():
        with step_description(session, name), stage_line(session, name):
            results[name] = run_job(session, name, options)
        for step, status, rows, seconds in step_lines(name, results[name]):
            console.print(f"  {step:24} {status:8} {rows:>16} {seconds:>8} s" if seconds else f"  {step:24} {status}")
    return results


def _show_answer(question: str, session: SparkSession, lake: str, console: Console) -> None:
    """Print the best documents for a question, with the terms that contribute most to their scores."""
    given: dict[str, Any] = {"lake": lake, "model": MODEL, "k": SHOWN_DOCUMENTS, "terms": SHOWN_TERMS}
    hits = search_folder(question, **given)
    # Spark reads a lake in a catalog or on remote storage.
    hits = search_documents(session, question, **given) if hits is None else hits
    table = Table("score", "document", "terms that matched", title=f"\n“{question}”", title_justify="left")
    for hit in hits:
        terms = ", ".join(f"{token} {share:.2f}" for token, share in hit["terms"].items())
        table.add_row(f"{hit['score']:.2f}", hit["doc_id"], terms)
    console.print(table)
