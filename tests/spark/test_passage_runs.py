"""Runs of documents by their passages are those of brute force over all passages, by every strategy."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import spladelake.functions as sl
from spladelake.errors import UsageError
from spladelake.passages import PassageSettings, document_of, passage_id
from spladelake.passages.aggregate import Aggregate, aggregate_of
from spladelake.spark.retrieve.indexed_search import folder_index
from spladelake.spark.sql import indexed as indexed_functions
from spladelake.spark.sql.indexed import IndexedVectors
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import DOCUMENTS, PASSAGE_VECTORS, RUNS, VECTORS
from spladelake.spark.tables.write import replace_rows
from spladelake.vectors import SparseVectors
from support.tables import table_rows
from unit.scoring.oracle import brute_force, random_vectors
from unit.scoring.test_passages import oracle

SIZE = 40
AGGREGATES = ("max", "first", "mean-of-top-3", "sum-of-top-2", "none")
SCALE = 2.0**76


def table(spark: SparkSession, path: str, schema: TableSchema, rows: list[dict[str, Any]], **properties: str) -> None:
    frame: DataFrame = spark.createDataFrame(
        [tuple(row.get(c) for c in schema.column_names) for row in rows], schema.struct
    )
    lineage = Lineage("encode_texts", {}, {})
    replace_rows(spark, TableRef(path=path), schema, frame.repartition(3), lineage=lineage, properties=properties)


def as_rows(vectors: SparseVectors, ids: list[str]) -> list[dict[str, Any]]:
    rows = []
    for number, i in enumerate(ids):
        indices, values = vectors.row(number)
        rows.append({
            "id": i, "indices": indices.tolist(), "values": values.tolist(), "tokens": 1, "truncated": False,
            "text_sha256": i, "status": "ok", "model_id": "m",
        })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def problem() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    sizes = {f"d{n}{'!b' * (n % 3)}": int(rng.choice([1, 2, 5, 90], p=[0.4, 0.3, 0.25, 0.05])) for n in range(60)}
    ids = [passage_id(doc_id, n) for doc_id in sorted(sizes) for n in range(sizes[doc_id])]
    queries, documents = (
        random_vectors(rng, rows, vocabulary_size=SIZE, most_terms=8, levels=3) for rows in (9, len(ids))
    )
    return {"queries": queries, "documents": documents, "doc_ids": ids}


@pytest.fixture(scope="module")
def passage_lake(spark: SparkSession, problem: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    lake = str(tmp_path_factory.mktemp("passages") / "lake")
    rows = as_rows(problem["documents"], problem["doc_ids"])
    for row in rows:
        doc_id, number = document_of(row["id"])
        row.update(doc_id=doc_id, passage=number, start=10 * number, end=10 * number + 8, doc_sha256=doc_id)
    said = {"vocabulary_size": str(SIZE), "passages": PassageSettings().as_json(), "model_id": "m"}
    table(spark, f"{lake}/vectors/v/documents", PASSAGE_VECTORS, rows, **said)
    # The first query has the id of a document.
    names = ["d0", *(f"q{n}" for n in range(1, len(problem["queries"])))]
    table(spark, f"{lake}/vectors/v/queries", VECTORS, as_rows(problem["queries"], names), vocabulary_size=str(SIZE))
    documents = [{"doc_id": d, "text": f"text {d}"} for d in sorted({document_of(i)[0] for i in problem["doc_ids"]})]
    table(spark, f"{lake}/documents", DOCUMENTS, documents)
    # A table of runs as an earlier release made it.
    table(spark, f"{lake}/runs", RUNS, [{"run_id": "old", "query_id": "q", "doc_id": "d", "rank": 1, "score": 1.0}])
    return lake


def found(lake: str, run_id: str) -> list[tuple[Any, ...]]:
    rows = [row for row in table_rows(f"{lake}/runs") if row["run_id"] == run_id]
    return sorted((r["query_id"], r["rank"], r["doc_id"], r["passage"], r["score"]) for r in rows)


def wanted(problem: dict[str, Any], name: str, k: int, keep: Any = lambda query, doc_id: True) -> list[tuple[Any, ...]]:
    """Rows by brute force. keep: of (query, document), those that may be listed."""
    aggregate = aggregate_of(name)
    assert aggregate is not None
    names = ["d0", *(f"q{n}" for n in range(1, len(problem["queries"])))]
    if aggregate.kind == "none":
        every = brute_force(**problem, k=10**9, vocabulary_size=SIZE)
    else:
        every = oracle(problem, aggregate if aggregate.adds_up else Aggregate(aggregate.kind), 10**9)
    ranks: dict[int, int] = defaultdict(int)
    rows = []
    for query, passage, score in every:
        doc_id, number = document_of(passage)
        if keep(names[query], doc_id) and ranks[query] < k:
            ranks[query] += 1
            listed = passage if aggregate.kind == "none" else doc_id
            rows.append((names[query], ranks[query], listed, number, score / SCALE))
    return sorted(rows)


# Each aggregate is another plan of SQL, whereas the other strategies have one kernel for all.
@pytest.mark.parametrize(
    ("strategy", "aggregates"),
    [
        ("driver", AGGREGATES),
        ("blocks", AGGREGATES),
        ("sql", ("max", "mean-of-top-3")),
        pytest.param("sql", AGGREGATES, marks=pytest.mark.slow),
    ],
)
def test_every_aggregate_ranks_documents_as_brute_force_does(
    run_job: Any, passage_lake: str, problem: dict[str, Any], strategy: str, aggregates: tuple[str, ...]
) -> None:
    further = {f"{name}-{strategy}": {"aggregate": name, "k": 7} for name in aggregates}
    further[f"where-{strategy}"] = {"aggregate": "mean-of-top-3", "k": 50, "where": "doc_id < 'd3'"}
    further[f"self-{strategy}"] = {"k": 5, "exclude_self": True, "minimum_score": 0.5}
    run_job(
        "retrieve_run",
        lake=passage_lake,
        vectors="v",
        ranking=f"{strategy}-default",
        k=7,
        also=further,
        strategy=strategy,
    )
    for name in aggregates:
        assert found(passage_lake, f"{name}-{strategy}") == wanted(problem, name, 7), name
    assert found(passage_lake, f"{strategy}-default") == wanted(problem, "max", 7)
    below = wanted(problem, "mean-of-top-3", 50, lambda _, doc_id: doc_id < "d3")
    assert found(passage_lake, f"where-{strategy}") == below
    others = [r for r in wanted(problem, "max", 5, lambda query, doc_id: query != doc_id) if r[-1] >= 0.5]
    assert found(passage_lake, f"self-{strategy}") == others
    places = [r for r in table_rows(f"{passage_lake}/runs") if r["run_id"] == f"max-{strategy}"]
    assert {(r["passage_start"], r["passage_end"]) for r in places if r["passage"] == 2} <= {(20, 28)}
    assert all(r["passage_start"] == 10 * r["passage"] for r in places)
    old = next(r for r in table_rows(f"{passage_lake}/runs") if r["run_id"] == "old")
    assert (old["doc_id"], old["passage"]) == ("d", None)


def test_an_index_of_passages_gives_the_same_documents(
    run_job: Any, passage_lake: str, problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job("index_vectors", lake=passage_lake, vectors="v")
    given = {"lake": passage_lake, "vectors": "v", "k": 7, "strategy": "blocks"}
    also = {"indexed-none": {"aggregate": "none", "k": 7}}
    done = run_job("retrieve_run", **given, ranking="indexed", also=also)
    assert done["index"] == "used"
    assert found(passage_lake, "indexed") == wanted(problem, "max", 7)
    assert found(passage_lake, "indexed-none") == wanted(problem, "none", 7)
    assert run_job("retrieve_run", **given, ranking="unfit", aggregate="sum-of-top-2")["index"] == "none"
    assert found(passage_lake, "unfit") == wanted(problem, "sum-of-top-2", 7)
    # The functions of SQL, which rank through the index, and those that read the vectors.
    queries, indexed = problem["queries"], IndexedVectors(passage_lake, "v", "m")
    assert folder_index(Lake(passage_lake), "v", indexed._tables()) is not None
    best = [indexed.search(queries.take(np.array([n])), 7) for n in range(len(queries))]
    alike = [indexed.similar(name, 5) for name in ("d3", "d1!b", "d4!b#000000")]
    of_run = wanted(problem, "max", 7)
    names = ["d0", *(f"q{n}" for n in range(1, len(queries)))]
    assert best == [[(row[2], row[-1]) for row in sorted(of_run) if row[0] == name] for name in names]
    monkeypatch.setattr(indexed_functions, "folder_index", lambda *_: None)
    assert best == [indexed.search(queries.take(np.array([n])), 7) for n in range(len(queries))]
    assert alike == [indexed.similar(name, 5) for name in ("d3", "d1!b", "d4!b#000000")]
    assert [len(rows) for rows in alike] == [5, 5, 5]


def test_retrieve_on_a_dataframe_ranks_the_documents_of_passages_as_brute_force_does(
    spark: SparkSession, passage_lake: str, problem: dict[str, Any]
) -> None:
    sides = [spark.read.format("delta").load(f"{passage_lake}/vectors/v/{side}") for side in ("documents", "queries")]
    given: dict[str, dict[str, Any]] = {name: {"aggregate": name} for name in AGGREGATES}
    given |= {"default": {}, "passes": {"aggregate": "sum-of-top-2", "passes": 2}}
    given["self"] = {"exclude_self": True, "minimum_score": 0.5}
    runs = [sl.retrieve(*sides, 7, **how).withColumn("run", F.lit(name)) for name, how in given.items()]
    rows = reduce(DataFrame.unionAll, runs).collect()
    columns = ("query_id", "rank", "doc_id", "passage", "score")
    ranked = {name: sorted(tuple(r[c] for c in columns) for r in rows if r["run"] == name) for name in given}
    others = [r for r in wanted(problem, "max", 7, lambda query, doc_id: query != doc_id) if r[-1] >= 0.5]
    oracles = {**{name: wanted(problem, name, 7) for name in AGGREGATES}, "self": others}
    oracles |= {"default": oracles["max"], "passes": oracles["sum-of-top-2"]}
    assert ranked == oracles
    as_rows = sl.retrieve(*sides, 7, document_id="id")
    assert as_rows.columns == ["query_id", "doc_id", "rank", "score"]
    for how, said in (
        ({"aggregate": "none", "exclude_self": True}, "exclude_self compares ids of queries with ids of documents"),
        ({"aggregate": "mean-of-top-n"}, "N from 1 to 999"),
    ):
        with pytest.raises(UsageError, match=said):
            sl.retrieve(*sides, **how)
    for documents, said in (
        (sides[0].drop("passage"), "the DataFrame has no column 'passage'"),
        (sides[0].withColumn("passage", F.lit("first")), "column 'passage': the type is string; wanted the number"),
    ):
        with pytest.raises(UsageError, match=said):
            sl.retrieve(documents, sides[1], aggregate="max")


def test_what_vectors_do_not_have_is_refused(run_job: Any, passage_lake: str, fruit_lake: str) -> None:
    given = {"lake": passage_lake, "vectors": "v"}
    for options, said in (
        ({"lake": fruit_lake, "model": "splade-tiny", "aggregate": "max"}, "but these are vectors of whole texts"),
        ({**given, "aggregate": "none", "exclude_self": True}, "--exclude-self: the option is given"),
        ({**given, "since_version": 0}, "--since-version: the vectors are vectors of passages"),
        ({**given, "aggregate": "mean-of-top-n"}, "N from 1 to 999"),
    ):
        with pytest.raises(UsageError) as error:
            run_job("retrieve_run", **options)
        assert said in str(error.value)
