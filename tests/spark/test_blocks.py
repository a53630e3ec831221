"""However the work is cut and whatever is known beforehand, the block strategy gives the rows of one full retrieval."""

from __future__ import annotations

import logging
import math
import shutil
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.scoring import Expected, Queries, TopK
from spladelake.spark.retrieve import blocks as block_top_k
from spladelake.spark.retrieve import job as retrieve_module
from spladelake.spark.retrieve import sample
from spladelake.spark.retrieve import task_sizes as reading
from spladelake.spark.retrieve.blocks import Corpus, ranked_in_blocks, ranked_with_sample
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.passes import Asked, passes
from spladelake.spark.retrieve.query_rows import QueryBatch, collected_queries
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.refs import TableRef
from spladelake.vectors import SparseVectors
from support.cases import mostly_slow
from support.tables import table_rows
from support.vector_tables import TERMS, Vectors, as_frame, brute_force, random_vectors, write_vectors

VECTORS_IN = pa.schema(
    [("id", pa.string()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32())), ("groups", pa.int32())]
)
QUERIES = random_vectors(np.random.default_rng(1), [f"q{n}" for n in range(15)], levels=2, most_terms=5)
DOCUMENTS = random_vectors(np.random.default_rng(2), [f"d{n}" for n in range(400)], levels=3)


def run_rows(spark: SparkSession, lake: str, run_id: str = "made") -> list[tuple[Any, ...]]:
    rows = table_rows(f"{lake}/runs", run_id=run_id)
    return sorted((row["query_id"], row["doc_id"], row["rank"], row["score"]) for row in rows)


def ranked(
    spark: SparkSession, *tasks: Vectors, asking: Vectors = QUERIES, k: int = 10, task_bytes: int = 2**20
) -> tuple[list[tuple[Any, ...]], dict[str, float]]:
    """The rows of a ranking of the documents that the tasks have, and the sums that the tasks reported."""
    queries: QueryBatch = collected_queries(as_frame(spark, asking), "queries", TERMS)
    rows = reduce(DataFrame.unionAll, [as_frame(spark, of_task).coalesce(1) for of_task in tasks])
    corpus = Corpus(rows.withColumn("groups", F.lit(1)), False, "documents")
    totals = spark.sparkContext.accumulator({}, Totals())
    asked = [Asked(Kept(k, False, 0.0))]
    found = ranked_in_blocks(spark, queries, corpus, asked, totals=totals, task_bytes=task_bytes)
    return sorted(tuple(row) for row in found.drop("run").collect()), totals.value


def dealt_out(tasks: int) -> list[Vectors]:
    """The documents of each of so many tasks."""
    return [dict(list(DOCUMENTS.items())[first::tasks]) for first in range(tasks)]


@pytest.mark.parametrize(
    ("partitions", "k", "task_bytes"), mostly_slow([(1, 10, 2**20), (7, 10, 1), (3, 400, 3000)], 1)
)
def test_partitions_and_passes_change_nothing(spark: SparkSession, partitions: int, k: int, task_bytes: int) -> None:
    found, _ = ranked(spark, *dealt_out(partitions), k=k, task_bytes=task_bytes)
    assert found == brute_force(QUERIES, DOCUMENTS, k)


def test_what_a_process_learned_cuts_what_is_shuffled_and_changes_nothing(spark: SparkSession) -> None:
    tasks = dealt_out(16)
    found, sums = ranked(spark, *tasks)
    assert found == brute_force(QUERIES, DOCUMENTS, 10)
    assert sums["documents"] == len(DOCUMENTS)
    # Sixteen tasks in the processes of two slots; each by itself would hand over all that its own documents give.
    assert sums["candidates"] < 0.8 * sum(len(brute_force(QUERIES, of_task, 10)) for of_task in tasks)


@pytest.mark.slow
def test_documents_are_read_in_whole_rounds_of_tasks_unless_the_user_says_otherwise(
    spark: SparkSession, run_job: Any, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, seen, real = "spark.sql.files.maxPartitionBytes", [], retrieve_module.replace_rows

    def noting(session: SparkSession, *args: Any, **options: Any) -> int:
        seen.append((session.conf.get(setting), documents.read(session).rdd.getNumPartitions()))
        return real(session, *args, **options)

    # Ten files that Spark counts as 4 MB each: five rounds of two slots; of two files each it would be six.
    monkeypatch.setattr(reading, "TASK_BYTES", 10 * 2**20)
    monkeypatch.setattr(retrieve_module, "replace_rows", noting)
    documents = TableRef(path=f"{made}/vectors/made/documents")
    assert spark.conf.get(setting, None) is None
    retrieve(run_job, made)
    assert [tasks for _, tasks in seen] == [10]
    assert spark.conf.get(setting, None) is None
    with session_settings(spark, {setting: "9000000"}):
        retrieve(run_job, made, force=True)
    assert seen[1:] == [("9000000", 4)]
    assert run_rows(spark, made) == brute_force(QUERIES, DOCUMENTS, 10)


def test_a_sample_cuts_what_is_shuffled_and_changes_nothing(
    spark: SparkSession, run_job: Any, lake: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Few scores tie: a task hands over all documents that tie with the threshold.
    documents = random_vectors(np.random.default_rng(3), [f"d{n}" for n in range(400)], levels=1000)
    write_vectors(spark, f"{lake}/vectors/made/documents", documents, files=10)
    write_vectors(spark, f"{lake}/vectors/made/queries", QUERIES)
    # A task for each of the ten files.
    with session_settings(spark, {"spark.sql.files.maxPartitionBytes": "4000000"}), caplog.at_level(logging.INFO):
        whole = retrieve(run_job, lake)
        monkeypatch.setattr(sample, "SAMPLED_DOCUMENTS", 320)
        monkeypatch.setattr(sample, "FEWEST_SPARED", -math.inf)
        found = retrieve(run_job, lake, force=True)
    assert run_rows(spark, lake) == brute_force(QUERIES, documents, 10)
    assert found["candidates"] < 0.8 * whole["candidates"]
    assert (found["products"], found["queries_without_hit"]) == (whole["products"], whole["queries_without_hit"])
    assert "ranked a second time" not in caplog.text


@pytest.mark.slow
def test_a_sample_of_the_index_changes_nothing(
    spark: SparkSession, run_job: Any, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLED_DOCUMENTS", 320)
    monkeypatch.setattr(sample, "FEWEST_SPARED", -math.inf)
    run_job("index_vectors", lake=made, model="made")
    assert retrieve(run_job, made)["index"] == "used"
    assert run_rows(spark, made) == brute_force(QUERIES, DOCUMENTS, 10)


@pytest.mark.parametrize(
    ("documents", "queries", "k", "wanted"),
    [(8_841_823, 6_980, 1000, True), (2_000_000, 6_980, 1000, True), (150_000, 6_980, 1000, False),
     (2_000_000, 500, 1000, False), (8_841_823, 43, 1000, False)],
)  # fmt: skip
def test_a_sample_is_taken_for_many_rows_of_many_documents(documents: int, queries: int, k: int, wanted: bool) -> None:
    assert sample.pays(documents=documents, rows=queries * k) == wanted


def test_slots_that_come_with_the_tasks_are_not_counted(spark: SparkSession, made: str) -> None:
    documents = TableRef(path=f"{made}/vectors/made/documents")
    assert reading.even_tasks(spark, documents)
    with (
        session_settings(spark, {"spark.sql.legacy.setCommandRejectsSparkCoreConfs": "false"}),
        session_settings(spark, {"spark.dynamicAllocation.enabled": "true"}),
    ):
        assert reading.even_tasks(spark, documents) == {}


@pytest.mark.parametrize("misled", [0.0, 0.5, 1.0])
def test_a_sample_that_misleads_changes_nothing(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, misled: float
) -> None:
    """Bounds that no document reaches, or the tenth best and no other, for some of the queries or all."""

    def promised(queries: Queries, parts: Any, *, k: int, documents: int) -> Expected:
        draw = np.random.default_rng(k)
        top = TopK(queries, k=k)
        vectors = SparseVectors.from_rows([(list(terms), list(terms.values())) for terms in DOCUMENTS.values()])
        top.add_vectors(vectors, list(DOCUMENTS))
        too_high = np.where(draw.random(len(queries)) < 0.5, 2**60, top.lower_bounds() + 1)
        bounds = np.where(draw.random(len(queries)) < misled, too_high, top.lower_bounds())
        return Expected(bounds, np.full(len(queries), 0.01, dtype=np.float32))

    monkeypatch.setattr(block_top_k, "expected_bounds", promised)
    kept = [Kept(10, False, 0.0), Kept(3, True, 0.0), Kept(400, False, 0.05)]
    same_ids = {doc_id.replace("d", "q"): vector for doc_id, vector in DOCUMENTS.items()}
    queries = collected_queries(as_frame(spark, QUERIES), "queries", TERMS)
    corpus = Corpus(as_frame(spark, same_ids).repartition(3).withColumn("groups", F.lit(1)), False, "documents")
    totals = spark.sparkContext.accumulator({}, Totals())
    with (
        caplog.at_level(logging.INFO),
        ranked_with_sample(
            spark, queries, corpus, [Asked(k) for k in kept], [], documents=400, totals=totals, task_bytes=2**20
        ) as ranked,
    ):
        rows = [tuple(row) for row in ranked.collect()]
    for number, run in enumerate(kept):
        wanted = brute_force(QUERIES, same_ids, run.k, minimum_score=run.minimum_score, exclude_self=run.exclude_self)
        assert sorted(row[1:] for row in rows if row[0] == number) == wanted
    assert ("are ranked a second time" in caplog.text) == (misled > 0)
    assert totals.value["documents"] == len(DOCUMENTS)


@pytest.mark.parametrize(
    ("documents", "queries", "scored"),
    [({}, QUERIES, 0), (DOCUMENTS, {}, 0), ({"blank": {}}, QUERIES, 1), (DOCUMENTS, {"blank": {}}, len(DOCUMENTS))],
    ids=["no documents", "no queries", "a document without terms", "a query without terms"],
)
def test_no_document_and_no_query_give_no_row(
    spark: SparkSession, documents: Vectors, queries: Vectors, scored: int
) -> None:
    rows, sums = ranked(spark, documents, asking=queries)
    assert rows == []
    assert sums.get("documents", 0) == scored


def test_passes_hold_every_query_of_every_run_once_within_the_memory() -> None:
    asked = [Asked(Kept(k, False, 0.0)) for k in (10, 100, 1000)]
    planned = passes(asked, 50, task_bytes=200_000)
    covered = sorted((run, query) for part in planned for run, first, end in part for query in range(first, end))
    assert covered == [(run, query) for run in range(3) for query in range(50)]
    assert len(planned) > 1


@pytest.fixture(scope="module")
def made_once(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    lake = str(tmp_path_factory.mktemp("blocks") / "lake")
    write_vectors(spark, f"{lake}/vectors/made/documents", DOCUMENTS, files=10)
    write_vectors(spark, f"{lake}/vectors/made/queries", QUERIES)
    return lake


@pytest.fixture
def made(made_once: str, lake: str) -> str:
    """A lake of 400 documents in ten data files."""
    shutil.copytree(made_once, lake)
    return lake


def retrieve(run_job: Any, lake: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = run_job("retrieve_run", lake=lake, model="made", k=10, strategy="blocks", **options)
    return found


def test_the_index_gives_the_same_run_and_is_renewed_by_files(
    spark: SparkSession, run_job: Any, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    documents = f"{made}/vectors/made/documents"
    built = run_job("index_vectors", lake=made, model="made")
    assert (built["status"], built["rows"], built["blocks_made"]) == ("written", 400, 10)
    assert run_job("index_vectors", lake=made, model="made")["status"] == "skipped"
    assert retrieve(run_job, made)["index"] == "used"
    assert run_rows(spark, made) == brute_force(QUERIES, DOCUMENTS, 10)

    added = random_vectors(np.random.default_rng(3), ["new1", "new2", "new3"], levels=3)
    write_vectors(spark, documents, added, mode="append")
    spark.sql(f"DELETE FROM delta.`{documents}` WHERE id = 'd7'")
    now = {doc_id: vector for doc_id, vector in {**DOCUMENTS, **added}.items() if doc_id != "d7"}
    with caplog.at_level(logging.WARNING):
        assert retrieve(run_job, made)["index"] == "stale"
    assert "the index is ignored, because the vectors have changed" in caplog.text
    assert run_rows(spark, made) == brute_force(QUERIES, now, 10)

    renewed = run_job("index_vectors", lake=made, model="made")
    assert (renewed["rows"], renewed["blocks"], renewed["blocks_made"]) == (len(now), 11, 2)
    assert retrieve(run_job, made, force=True)["index"] == "used"
    assert run_rows(spark, made) == brute_force(QUERIES, now, 10)


def test_an_index_of_another_release_or_that_somebody_else_wrote_to_is_ignored(
    spark: SparkSession, run_job: Any, made: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as other_release:
        other_release.setattr("spladelake.spark.retrieve.index.VERSION", 1)
        run_job("index_vectors", lake=made, model="made")
    with caplog.at_level(logging.WARNING):
        assert retrieve(run_job, made)["index"] == "stale"
    assert "the index is ignored, because another release of spladelake made the index" in caplog.text
    assert run_job("index_vectors", lake=made, model="made")["blocks_made"] == 10
    spark.sql(f"DELETE FROM delta.`{made}/vectors/made/index` WHERE documents > 0")
    assert retrieve(run_job, made, force=True)["index"] == "stale"
    assert "the index is ignored, because another program wrote to the index" in caplog.text
    assert run_rows(spark, made) == brute_force(QUERIES, DOCUMENTS, 10)


def test_an_index_of_rows_that_a_deletion_vector_removed_is_ignored_and_renewed(
    spark: SparkSession, run_job: Any, made: str
) -> None:
    documents = f"delta.`{made}/vectors/made/documents`"
    spark.sql(f"ALTER TABLE {documents} SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    run_job("index_vectors", lake=made, model="made")
    assert retrieve(run_job, made)["index"] == "used"
    before = spark.read.format("delta").load(f"{made}/vectors/made/documents").inputFiles()
    spark.sql(f"DELETE FROM {documents} WHERE id = 'd7'")
    assert spark.read.format("delta").load(f"{made}/vectors/made/documents").inputFiles() == before
    rest = {doc_id: vector for doc_id, vector in DOCUMENTS.items() if doc_id != "d7"}
    for state in ("stale", "used"):
        assert retrieve(run_job, made, force=True)["index"] == state
        assert run_rows(spark, made) == brute_force(QUERIES, rest, 10)
        run_job("index_vectors", lake=made, model="made")


def test_a_run_brought_up_to_date_equals_a_full_run(spark: SparkSession, run_job: Any, made: str) -> None:
    documents = f"{made}/vectors/made/documents"
    without_texts = f"UPDATE delta.`{documents}` SET text_sha256 = NULL"  # as those of another system are
    spark.sql(without_texts)
    version = spark.sql(f"DESCRIBE HISTORY delta.`{documents}` LIMIT 1").first()["version"]
    retrieve(run_job, made)
    rng = np.random.default_rng(4)
    changed = random_vectors(rng, ["d1", "d2", "d3"], levels=3)
    added = random_vectors(rng, [f"new{n}" for n in range(20)], levels=5)
    best = brute_force(QUERIES, DOCUMENTS, 1)[0][1]
    gone = {"d10", "d11", best}
    spark.sql(f"DELETE FROM delta.`{documents}` WHERE id IN ({', '.join(map(repr, [*gone, *changed]))})")
    write_vectors(spark, documents, {**changed, **added}, mode="append")
    spark.sql(without_texts)
    now = {i: v for i, v in {**DOCUMENTS, **changed, **added}.items() if i not in gone}
    result = retrieve(run_job, made, since_version=version)
    assert run_rows(spark, made) == brute_force(QUERIES, now, 10)
    assert result["rows"] == len(brute_force(QUERIES, now, 10))
    assert retrieve(run_job, made)["status"] == "skipped"


def test_a_run_that_was_made_otherwise_is_not_built_on(spark: SparkSession, run_job: Any, made: str) -> None:
    with pytest.raises(DataError, match="there is no runs table"):
        retrieve(run_job, made, since_version=0)
    retrieve(run_job, made, minimum_score=0.1)
    write_vectors(spark, f"{made}/vectors/made/documents", {"new": {1: 1.0}}, mode="append")
    with pytest.raises(DataError, match=r"run 'made' was made with .*minimum_score"):
        retrieve(run_job, made, since_version=1)
    with pytest.raises(DataError, match="but the newest version of the table is"):
        retrieve(run_job, made, since_version=99)
