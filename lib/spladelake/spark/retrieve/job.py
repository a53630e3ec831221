"""The retrieval job: writes the exact top k documents by dot product of each query as runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import Ranking, RetrieveRun
from spladelake.names import short_name
from spladelake.results import RetrieveResult
from spladelake.scoring import DocIds, compile_kernels
from spladelake.spark.retrieve.blocks import (
    Corpus,
    ranked_in_blocks,
    ranked_in_driver,
    ranked_with_sample,
    set_batch_size,
)
from spladelake.spark.retrieve.conditions import selected
from spladelake.spark.retrieve.index import FoundIndex, current_index
from spladelake.spark.retrieve.join import joined_products, top_k
from spladelake.spark.retrieve.passages import (
    check_rankings,
    first_passages_only,
    kept_of,
    side_by_side,
    sorted_here,
    with_places,
)
from spladelake.spark.retrieve.passes import Asked
from spladelake.spark.retrieve.query_rows import QueryBatch
from spladelake.spark.retrieve.request import RetrievalInputs, counts_of_runs, inputs_of, rows_of_runs, run_lineage
from spladelake.spark.retrieve.sample import pays, sample_of
from spladelake.spark.retrieve.since_version import Changes, changes_since, merged_with_previous
from spladelake.spark.retrieve.task_sizes import even_tasks
from spladelake.spark.retrieve.vector_checks import (
    check_every_row,
    check_rows,
)
from spladelake.spark.session.connect import is_connect
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.progress import progress
from spladelake.spark.session.quick_settings import GENERATED, GENERATED_FROM_ROWS
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.session.totals import DriverTotals, shared_totals
from spladelake.spark.tables.lineage import is_current
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import PASSAGE_RUNS, RUNS
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.upgrade import add_columns
from spladelake.spark.tables.write import replace_rows
from spladelake.vectors import SparseVectors

log = logging.getLogger(__name__)

# The SQL strategy also counts its products up to this number of documents, which takes less than a second.
COUNTED_DOCUMENTS = 50_000


def retrieve_run(session: SparkSession, options: RetrieveRun) -> RetrieveResult:
    """Rank the documents of the lake for each query and write one or more runs to the table `runs`.

    Raises DataError if a table is missing or holds bad vectors, UsageError if a condition cannot be used.
    """
    lake, model = Lake(options.lake), short_name(options.vectors or options.model)
    target = lake.table("runs")
    inputs = inputs_of(session, lake, model, options)
    rankings = options.rankings(model)
    check_rankings(options, rankings, passages=inputs.passages, place=str(inputs.documents))
    lineages = {run_id: run_lineage(inputs, run_id, ranking) for run_id, ranking in rankings.items()}
    if not options.force:
        for run_id in [run_id for run_id, made in lineages.items() if is_current(session, target, made)]:
            log.info("%s: run %s skipped, because the run is up to date", target, run_id)
            del rankings[run_id], lineages[run_id]
    first_id = next(iter(options.rankings(model)))
    result: RetrieveResult = {"run_id": first_id, "table": str(target), "k": options.k}
    if not rankings:
        return {**result, "status": "skipped"}
    started = time.monotonic()
    made = _Retrieval(session, inputs, options, rankings)
    describe(session, f"retrieve {', '.join(rankings)}")
    with made.progress(), session_settings(session, made.reading()), made.ranked() as ranked, ExitStack() as until:
        if len(rankings) > 1:
            ranked = kept_on_disk(ranked, until)
        if inputs.passages and target.exists(session):
            add_columns(session, target, PASSAGE_RUNS)
        for number, run_id in enumerate(rankings):
            rows = made.rows_of(ranked, number).withColumn("run_id", F.lit(run_id))
            where, schema = f"run_id = {sql_string(run_id)}", PASSAGE_RUNS if inputs.passages else RUNS
            replace_rows(session, target, schema, rows, lineage=lineages[run_id], where=where)
    describe(session)
    found = made.found or rows_of_runs(session, target, list(rankings))
    written = {
        **result,
        "status": "written",
        **counts_of_runs(found, list(rankings), queries=len(inputs.asked.ids)),
        **made.report(),
        "seconds": round(time.monotonic() - started, 2),
    }
    return cast("RetrieveResult", written)


class _Retrieval:
    """One retrieval: the inputs, the runs to make, and the chosen strategy."""

    def __init__(
        self, session: SparkSession, inputs: RetrievalInputs, options: RetrieveRun, rankings: Mapping[str, Ranking]
    ) -> None:
        self.session, self.inputs, self.options, self.rankings = session, inputs, options, rankings
        self.document_count = inputs.survey.rows
        self.kept = [kept_of(ranking, passages=inputs.passages) for ranking in rankings.values()]
        self.products: int | None = None
        # Numbers of rows and of queries of each run, if they are known before the write.
        self.found: dict[str, tuple[int, int]] | None = None
        self.strategy = self._choose()
        self.index = self._current_index()
        in_driver = self.strategy == "driver"
        self.totals = DriverTotals() if in_driver else shared_totals(session)
        # On Spark Connect the counts of tasks stay in the workers.
        self.is_counted = in_driver or not is_connect(session)
        if self.strategy == "sql":
            check_every_row(inputs.documents, inputs.document_rows, size=inputs.vocabulary_size)
        elif self.index.rows is None:
            # `index_vectors` checked the rows of an index.
            check_rows(session, inputs.documents, inputs.document_rows, inputs.survey, size=inputs.vocabulary_size)

    def _choose(self) -> str:
        """Return the strategy. For the SQL strategy on few documents, also count the products."""
        chosen: str = self.options.strategy
        if chosen == "auto":
            chosen = "blocks" if self.inputs.documents_here is None else "driver"
        if chosen == "sql" and self.document_count <= COUNTED_DOCUMENTS:
            self.products = joined_products(self.session, self.inputs.query_rows, self.inputs.document_rows)
        log.info(
            "ranking for %s queries among %s documents (strategy: %s)",
            f"{len(self.inputs.asked.ids):,}", f"{self.document_count:,}", chosen,
        )  # fmt: skip
        return chosen

    def progress(self) -> AbstractContextManager[None]:
        """Show the progress while a body runs, if tasks tell how many documents they have ranked."""
        if not self.is_counted:
            return nullcontext()
        return progress("retrieve", total=self.document_count, done=lambda: self.totals.value.get("documents", 0))

    @contextmanager
    def ranked(self) -> Iterator[DataFrame]:
        """Give (run, query_id, doc_id, rank, score) of every run. The rows can be read until the context ends."""
        if self.options.since_version is not None:
            yield self._since(self.options.since_version)
        elif self.strategy == "sql":
            yield self._by_sql()
        elif self.strategy == "driver":
            rows = self._in_driver()
            many = sum(found for found, _ in (self.found or {}).values()) >= GENERATED_FROM_ROWS
            with session_settings(self.session, GENERATED if many else {}):
                yield rows
        elif sample := self._sample():
            corpus, asked = self._asked(self.inputs.document_rows)
            with ranked_with_sample(
                self.session, self.inputs.asked, corpus, asked, sample, documents=self.document_count, **self._limits()
            ) as rows:
                yield rows
        else:
            yield self.in_blocks(self.inputs.asked, self.inputs.document_rows)

    def _sample(self) -> list[tuple[SparseVectors, DocIds]]:
        """Return a sample of the documents. It is empty if a sample would not pay or a run has a condition.

        A sample of passages says little of documents: tasks may find several of one. On Spark Connect the candidates
        are not kept, so they would be found twice.
        """
        rankings = self.rankings.values()
        if self.inputs.passages or is_connect(self.session):
            return []
        rows = len(self.inputs.asked.ids) * sum(ranking.k for ranking in rankings)
        if any(ranking.where for ranking in rankings) or not pays(documents=self.document_count, rows=rows):
            return []
        inputs = self.inputs
        return sample_of(
            self.session,
            inputs.documents,
            inputs.document_rows,
            vocabulary_size=inputs.vocabulary_size,
        )

    def _in_driver(self) -> DataFrame:
        corpus, asked = self._asked(self.inputs.document_rows)
        documents = self.inputs.documents_here
        if documents is None or self._is_filtered():
            documents = corpus.rows.toArrow()
        else:
            documents = documents.append_column("groups", pa.repeat(pa.scalar(1, pa.int32()), documents.num_rows))
        if any(kept.adds_up for kept in self.kept):
            documents = sorted_here(documents)
        table = ranked_in_driver(self.inputs.asked, documents, asked, place=corpus.place, **self._limits())
        self.found = {}
        for number, run_id in enumerate(self.rankings):
            of_run = table.filter(pc.equal(table.column("run"), number))
            self.found[run_id] = of_run.num_rows, pc.count_distinct(of_run.column("query_id")).as_py()
        return self.session.createDataFrame(table)

    def _by_sql(self) -> DataFrame:
        frames = []
        for number, (ranking, kept) in enumerate(zip(self.rankings.values(), self.kept, strict=True)):
            documents = selected(self.inputs.document_rows, self.inputs.text_rows(self.session), [ranking.where])
            documents = first_passages_only(documents, [(kept, 1)]).where("groups > 0")
            rows = top_k(self.session, self.inputs.query_rows, documents, kept)
            frames.append(rows.select(F.lit(number).alias("run"), *rows.columns))
        found = frames[0]
        for frame in frames[1:]:
            found = found.unionAll(frame)
        return found

    def in_blocks(self, queries: QueryBatch, documents: DataFrame) -> DataFrame:
        """Rank some of the queries among some of the documents for every run."""
        return ranked_in_blocks(self.session, queries, *self._asked(documents), **self._limits())

    def _asked(self, documents: DataFrame) -> tuple[Corpus, list[Asked]]:
        """Prepare for ranking in blocks and return the corpus and the runs."""
        compile_kernels()
        set_batch_size(self.session)
        # Runs by first passages have groups of their own.
        wanted = [(r.where, kept.first_only) for r, kept in zip(self.rankings.values(), self.kept, strict=True)]
        conditions = list(dict.fromkeys(wanted))
        asked = [Asked(kept, 1 << conditions.index(of)) for kept, of in zip(self.kept, wanted, strict=True)]
        return self._corpus(documents, [where for where, _ in conditions], asked), asked

    def _is_filtered(self) -> bool:
        """Return whether a run leaves documents or passages out."""
        return any(r.where for r in self.rankings.values()) or any(kept.first_only for kept in self.kept)

    def rows_of(self, ranked: DataFrame, number: int) -> DataFrame:
        """Return the rows of a run; if the vectors are of passages, with the place of the best one."""
        rows, how = ranked.where(F.col("run") == number), self.kept[number].aggregate
        return rows if how is None else with_places(rows, self.inputs.document_rows, how)

    def _limits(self) -> dict[str, Any]:
        return {"totals": self.totals, "task_bytes": self.options.task_memory_mb * 2**20}

    def _current_index(self) -> FoundIndex:
        """Return the index if this retrieval can use it and it is current."""
        # The blocks of an index have passages of a document here and there.
        unfit = self._is_filtered() or any(kept.adds_up for kept in self.kept)
        if self.strategy != "blocks" or unfit or self.options.index == "off":
            return FoundIndex("none")
        inputs = self.inputs
        index = inputs.lake.vectors(inputs.model, "index")
        return current_index(self.session, index, inputs.documents, version=inputs.versions["documents"])

    def _corpus(self, documents: DataFrame, conditions: list[str | None], asked: list[Asked]) -> Corpus:
        inputs, place = self.inputs, str(self.inputs.documents)
        if documents is inputs.document_rows and self.index.rows is not None:
            return Corpus(self.index.rows, is_index=True, place=place)
        rows = selected(documents, self.inputs.text_rows(self.session), conditions)
        rows = first_passages_only(rows, [(run.kept, run.group) for run in asked])
        if self._is_filtered():
            rows = rows.where("groups > 0")
        if self.strategy == "blocks" and any(kept.adds_up for kept in self.kept):
            rows = side_by_side(rows)
        return Corpus(rows, is_index=False, place=place)

    def reading(self) -> dict[str, str]:
        """Return the session settings for reading the documents."""
        if self.strategy != "blocks" or self.options.since_version is not None or is_connect(self.session):
            return {}
        inputs = self.inputs
        index = inputs.lake.vectors(inputs.model, "index")
        return even_tasks(self.session, inputs.documents if self.index.rows is None else index)

    def _since(self, version: int) -> DataFrame:
        changes: Changes = changes_since(self.session, self.inputs, self.rankings, version=version)
        return merged_with_previous(self.session, changes, self.inputs.asked, self.in_blocks)

    def report(self) -> dict[str, Any]:
        """Return the strategy and its counts, for the job's result."""
        totals = self.totals.value
        products = self.products if self.products is not None else int(totals.get("products", 0))
        found: dict[str, Any] = {"strategy": self.strategy}
        if self.is_counted or self.strategy == "sql":
            found["products"] = products
        if self.strategy != "sql":
            found["index"] = self.index.state
        if self.strategy != "sql" and self.is_counted:
            found["candidates"] = int(totals.get("candidates", 0))
        return found
