"""`spladelake demo`: the whole job on text that every machine has, with a model that comes as a package."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from spladelake.config import EncodeTexts, EvaluateRun, IngestTexts, RetrieveRun
from spladelake.demo.collection import DEMO_QUESTIONS, Collection, stdlib_collection, write_beir
from spladelake.display import measures_table, step_lines
from spladelake.encoder import resolve_checkpoint
from spladelake.spark.descriptions import step_description
from spladelake.spark.encode import encoded_texts
from spladelake.spark.jobs import JOBS
from spladelake.spark.progress import stage_line
from spladelake.spark.session import spark_session
from spladelake.spark.sql_top_k import matched_terms, top_k
from spladelake.spark.tables import Lake

MODEL = "splade-tiny"
SHOWN_DOCUMENTS = 5
SHOWN_TERMS = 5


def run_demo(*, lake: str | None, documents: int | None, settings: dict[str, str]) -> dict[str, Any]:
    """Ingest, encode, retrieve and evaluate the standard library's docstrings, then answer three questions."""
    started = time.monotonic()
    console = Console(highlight=False)
    resolve_checkpoint(MODEL)  # says what to install before anything slow begins
    with ExitStack() as cleanup:
        work = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="spladelake-demo-")))
        root = lake or str(work / "lake")
        collection = smaller(stdlib_collection(), documents)
        write_beir(collection, work / "collection")
        console.print(
            f"Python's own documentation: {len(collection.documents):,} docstring bodies as documents, "
            f"{len(collection.queries):,} first lines as queries, each to find the body it came from."
        )
        session = spark_session("spladelake demo", settings={"spark.sql.shuffle.partitions": "4", **settings})
        results = _run_steps(session, root, work / "collection", console)
        console.print(measures_table(results["evaluate_run"], title=f"{MODEL}: known-item search"))
        questions = list(DEMO_QUESTIONS)
        _show_answers(answers(session, Lake(root), questions), questions, console)
        console.print(f"\nDone in {time.monotonic() - started:,.0f} s.", end=" ")
        if lake:
            console.print(f"The tables are in {root}.")
        else:
            console.print("The tables were temporary; `spladelake demo --lake demo-lake` keeps them.")
        return results


def smaller(collection: Collection, documents: int | None) -> Collection:
    """The collection's first documents with the queries and judgements that concern them."""
    if documents is None:
        return collection
    kept = collection.documents[:documents]
    ids = {row[0] for row in kept}
    judgements = tuple(row for row in collection.judgements if row[1] in ids)
    asked = {row[0] for row in judgements}
    queries = tuple(row for row in collection.queries if row[0] in asked)
    return Collection(kept, queries, judgements, collection.summary)


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
            results[name] = JOBS[name](session, options)
        for step, status, rows, seconds in step_lines(name, results[name]):
            console.print(f"  {step:24} {status:8} {rows:>16} {seconds:>8} s" if seconds else f"  {step:24} {status}")
    return results


def answers(session: SparkSession, lake: Lake, questions: list[str]) -> DataFrame:
    """(question, rank, score, doc_id, terms) of the best documents for free-text questions.

    terms: array<struct<token, contribution>>, the terms that made the score, largest first.
    """
    texts = session.createDataFrame([(question, question) for question in questions], "id string, text string")
    queries = encoded_texts(session, texts, model=MODEL, kind="query").persist()
    documents = lake.vectors(MODEL, "documents").read(session)
    ranked = top_k(session, queries, documents, k=SHOWN_DOCUMENTS).persist()
    vocabulary = lake.vectors(MODEL, "vocabulary").read(session)
    terms = matched_terms(session, queries, documents, ranked, vocabulary, limit=SHOWN_TERMS)
    return terms.select(F.col("query_id").alias("question"), "rank", "score", "doc_id", "terms").orderBy(
        "query_id", "rank"
    )


def _show_answers(found: DataFrame, questions: list[str], console: Console) -> None:
    rows = found.collect()
    for question in questions:
        table = Table("score", "document", "terms that matched", title=f"\n“{question}”", title_justify="left")
        for row in rows:
            if row["question"] == question:
                terms = ", ".join(f"{term['token']} {term['contribution']:.2f}" for term in row["terms"])
                table.add_row(f"{row['score']:.2f}", row["doc_id"], terms)
        console.print(table)
