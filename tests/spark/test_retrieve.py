"""Retrieval is exact: the documents, the order and the scores of a brute-force product, by every strategy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spladelake.config import RetrieveRun, checked
from spladelake.errors import DataError, UsageError
from spladelake.spark.retrieve import request
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.join import matched_terms, top_k
from spladelake.spark.tables.schemas import DOCUMENTS, VECTORS
from support.cases import mostly_slow
from support.tables import table_rows
from support.vector_tables import Vectors, as_frame, brute_force, random_vectors, write_vectors

DOC_IDS = [f"d{n}" for n in range(60)] + ["é", "D", "\U0001f600", "\uffee", "q1", "q2"]
QUERY_IDS = [f"q{n}" for n in range(12)]
STRATEGIES = ["sql", "blocks", "driver"]


def run_rows(spark: SparkSession, lake: str, run_id: str) -> list[tuple[Any, ...]]:
    """Rows of a run: query_id, doc_id, rank, score."""
    rows = table_rows(f"{lake}/runs", run_id=run_id)
    return sorted((row["query_id"], row["doc_id"], row["rank"], row["score"]) for row in rows)


@pytest.fixture(scope="module")
def tied(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Vectors, Vectors]:
    """A lake of tie-heavy vectors in five data files, with texts; its queries and documents."""
    root = str(tmp_path_factory.mktemp("tied") / "lake")
    rng = np.random.default_rng(5)
    documents, queries = random_vectors(rng, DOC_IDS, levels=3), random_vectors(rng, QUERY_IDS, levels=2)
    queries["nothing"] = {}
    write_vectors(spark, f"{root}/vectors/made/documents", documents, files=5)
    write_vectors(spark, f"{root}/vectors/made/queries", queries)
    texts = spark.createDataFrame([(doc_id, doc_id.upper(), "") for doc_id in documents], DOCUMENTS.struct)
    texts.write.format("delta").save(f"{root}/documents")
    return root, queries, documents


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("k", "minimum_score", "exclude_self"),
    mostly_slow([(7, 0.05, True), (1, 0.0, False), (10_000, 0.1, False), (3, 0.0, True)], 0),
)
def test_every_strategy_gives_the_brute_force_ranking_also_where_scores_tie(
    spark: SparkSession, run_job: Any, tied: Any, strategy: str, k: int, minimum_score: float, exclude_self: bool
) -> None:
    lake, queries, documents = tied
    options = {"k": k, "minimum_score": minimum_score, "exclude_self": exclude_self}
    wanted = brute_force(queries, documents, k, minimum_score=minimum_score, exclude_self=exclude_self)
    result = run_job("retrieve_run", lake=lake, model="made", strategy=strategy, run_id="tied", force=True, **options)
    assert run_rows(spark, lake, "tied") == wanted
    assert result["rows"] == len(wanted)
    assert result["queries_without_hit"] == len(queries) - len({row[0] for row in wanted})
    assert result["products"] == sum(len(q.keys() & d.keys()) for q in queries.values() for d in documents.values())
    assert result["strategy"] == strategy


@pytest.mark.parametrize("strategy", mostly_slow(STRATEGIES, STRATEGIES.index("blocks")))
def test_several_runs_in_one_pass_are_those_of_passes_of_their_own(
    spark: SparkSession, run_job: Any, tied: Any, strategy: str
) -> None:
    lake, queries, documents = tied
    some = {doc_id: vector for doc_id, vector in documents.items() if doc_id.upper() < "D4"}
    also = {
        "few": {"k": 2},
        "some": {"k": 5, "where": "title < 'D4'"},
        "others": {"k": 5, "where": "NOT title < 'D4'", "exclude_self": True},
    }
    run_job("retrieve_run", lake=lake, model="made", run_id="all", k=9, also=also, strategy=strategy, force=True)
    rest = {doc_id: vector for doc_id, vector in documents.items() if doc_id not in some}
    assert run_rows(spark, lake, "all") == brute_force(queries, documents, 9)
    assert run_rows(spark, lake, "few") == brute_force(queries, documents, 2)
    assert run_rows(spark, lake, "some") == brute_force(queries, some, 5)
    assert run_rows(spark, lake, "others") == brute_force(queries, rest, 5, exclude_self=True)


@pytest.mark.parametrize("exponent", [-6, 0, 6])
def test_scores_are_exact_for_weights_of_any_usual_size(spark: SparkSession, exponent: int) -> None:
    rng = np.random.default_rng(7)
    scale = np.float32(2.0**exponent)

    def side(letter: str, rows: int) -> Vectors:
        return {
            f"{letter}{n}": {t: float(scale * np.float32(rng.gamma(2.0) + 0.01)) for t in range(12)}
            for n in range(rows)
        }

    documents, queries = side("d", 20), side("q", 4)
    found = sorted(
        tuple(row)
        for row in top_k(spark, as_frame(spark, queries), as_frame(spark, documents), Kept(20, False, 0.0)).collect()
    )
    assert found == brute_force(queries, documents, 20)


@pytest.mark.parametrize(
    ("limit", "amount", "strategy"),
    [("DRIVER_BYTES", None, "driver"), ("DRIVER_BYTES", 1, "blocks"), ("DRIVER_ROWS", 12, "blocks")],
)
def test_auto_ranks_little_in_the_driver_and_more_in_workers(
    run_job: Any, tied: Any, monkeypatch: pytest.MonkeyPatch, limit: str, amount: int | None, strategy: str
) -> None:
    lake, _, _ = tied
    if amount is not None:
        monkeypatch.setattr(request, limit, amount)
    found = run_job("retrieve_run", lake=lake, model="made", run_id="auto", k=1, force=True)
    assert found["strategy"] == strategy


def test_contributions_of_matched_terms_add_up_to_the_score(spark: SparkSession) -> None:
    queries = as_frame(spark, {"q": {1: 2.0, 2: 0.5, 9: 1.0}})
    documents = as_frame(spark, {"d": {1: 1.5, 2: 4.0, 3: 7.0}})
    vocabulary = spark.createDataFrame([(1, "one"), (2, "two"), (3, "three"), (9, "nine")], "term_id int, token string")
    ranked = top_k(spark, queries, documents, Kept(1, False, 0.0))
    (row,) = matched_terms(spark, queries, documents, ranked, vocabulary, limit=5).collect()
    assert [(term["token"], term["contribution"]) for term in row["terms"]] == [("one", 3.0), ("two", 2.0)]
    assert row["score"] == 5.0


def test_a_run_keeps_its_rows_when_another_is_written_and_is_not_repeated(run_job: Any, own_fruit_lake: str) -> None:
    lake = own_fruit_lake
    first = run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=1, run_id="it's one")
    rows = sorted(map(tuple, table_rows(f"{lake}/runs")))
    best = {row["query_id"]: row["doc_id"] for row in table_rows(f"{lake}/runs", rank=1)}
    assert best == {"q1": "apple", "q2": "river", "q3": "bread"}
    assert Counter(run_id for run_id, *_ in rows) == {"splade-tiny": first["rows"], "it's one": 3}
    assert run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)["status"] == "skipped"
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=3, force=True, strategy="blocks")
    assert sorted(map(tuple, table_rows(f"{lake}/runs"))) == rows


def write_raw(spark: SparkSession, path: str, indices: list[int], values: list[float], model_id: str = "m") -> None:
    """A table of one vector without the constraints that would refuse it."""
    frame = spark.createDataFrame([("x", indices, values, 1, False, "", "ok", model_id)], VECTORS.struct)
    frame.write.format("delta").save(path)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('spladelake.vocabulary_size' = '10')")


BAD_VECTORS = {
    "arrays of two lengths": ([1, 2], [1.0], "differ in length"),
    "a weight that is not a number": ([1], [float("nan")], "not finite"),
    "an infinite weight": ([1], [float("inf")], "not finite"),
    "a negative weight": ([1], [-1.0], "not above 0"),
    "a weight of zero": ([1], [0.0], "not above 0"),
    "terms out of order": ([2, 1], [1.0, 1.0], "do not ascend"),
    "a term twice": ([1, 1], [1.0, 1.0], "occurs twice"),
    "a negative term": ([-1], [1.0], "below 0"),
    "a term beyond the vocabulary": ([10], [1.0], "has the term 10.*term ids from 0 to 9"),
}


BAD_CASES = [
    *((case, ("documents", "queries")[n % 2], STRATEGIES[n % 3]) for n, case in enumerate(BAD_VECTORS)),
    ("a term beyond the vocabulary", "documents", "blocks"),
    ("a negative weight", "documents", "driver"),
]


@pytest.mark.parametrize(
    ("case", "side", "strategy"),
    # test_bad_vectors has every case; here is one for each strategy.
    mostly_slow(BAD_CASES, 0, 1, 9),
)
def test_a_vector_that_breaks_an_invariant_is_refused_by_table_and_row(
    spark: SparkSession, run_job: Any, lake: str, case: str, side: str, strategy: str
) -> None:
    indices, values, reason = BAD_VECTORS[case]
    for name in ("documents", "queries"):
        bad = name == side
        write_raw(spark, f"{lake}/vectors/m/{name}", indices if bad else [1], values if bad else [1.0])
    with pytest.raises(DataError, match=rf"vectors/m/{side}, id 'x'.*{reason}"):
        run_job("retrieve_run", lake=lake, model="m", strategy=strategy)
    assert not Path(lake, "runs").exists()


@pytest.mark.parametrize("strategy", mostly_slow(STRATEGIES, STRATEGIES.index("blocks")))
def test_a_term_beyond_the_vocabulary_is_refused_where_the_tables_constraints_cannot_tell(
    spark: SparkSession, run_job: Any, lake: str, strategy: str
) -> None:
    # The constraints of the table hold, so that it is this look at the terms which finds the row.
    write_vectors(
        spark, f"{lake}/vectors/m/documents", {"fine": {9: 1.0}, "far": {1: 1.0, 10: 1.0}}, vocabulary_size=10
    )
    write_vectors(spark, f"{lake}/vectors/m/queries", {"q": {1: 1.0}}, vocabulary_size=10)
    with pytest.raises(
        DataError, match=r"vectors/m/documents, id 'far': the row has the term 10.*term ids from 0 to 9"
    ):
        run_job("retrieve_run", lake=lake, model="m", strategy=strategy)
    with pytest.raises(DataError, match=r"vectors/m/documents, id 'far'"):
        run_job("index_vectors", lake=lake, model="m")
    assert not Path(lake, "runs").exists()
    assert not Path(lake, "vectors/m/index").exists()


def test_vectors_of_two_models_are_refused_with_a_row_of_each(spark: SparkSession, run_job: Any, lake: str) -> None:
    for side, model_id in (("documents", "aaa"), ("queries", "bbb")):
        write_raw(spark, f"{lake}/vectors/m/{side}", [1], [1.0], model_id)
    with pytest.raises(
        DataError, match=r"from 2 models: model_id aaa of .*'x' in .*documents and model_id bbb of .*queries"
    ):
        run_job("retrieve_run", lake=lake, model="m")


def test_vectors_of_two_vocabularies_are_refused(spark: SparkSession, run_job: Any, lake: str) -> None:
    write_vectors(spark, f"{lake}/vectors/m/documents", {"d": {1: 1.0}}, vocabulary_size=10)
    write_vectors(spark, f"{lake}/vectors/m/queries", {"q": {1: 1.0}}, vocabulary_size=20)
    with pytest.raises(
        DataError, match=r"documents: the vectors have 10 dimensions, but the vectors in .*queries have 20"
    ):
        run_job("retrieve_run", lake=lake, model="m")


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("no_such_column = 1", r"wanted doc_id, title or text"),
        ("title =", r"wanted a condition on doc_id, title or text"),
        ("title", r"wanted a condition on doc_id, title or text"),
        ("count(*) > 1", r"wanted a condition with one value for each row"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_what_is_wanted(
    run_job: Any, tied: Any, where: str, wanted: str
) -> None:
    with pytest.raises(UsageError, match=wanted):
        run_job("retrieve_run", lake=tied[0], model="made", where=where, run_id="x", force=True)


@pytest.mark.parametrize(
    "given", [{"k": 0}, {"k": -1}, {"k": 10_001}, {"minimum_score": -1.0}, {"minimum_score": float("nan")}]
)
def test_numbers_that_name_no_ranking_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        checked(RetrieveRun, {"lake": "x", **given}, place="retrieve_run")
