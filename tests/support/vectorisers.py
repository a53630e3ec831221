"""What every vectoriser does, as tests that a class for each inherits; the class says how and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spladelake.config.model_kinds import Capability, ModelKind, kind_of_vectors
from spladelake.spark.retrieve.search import search_documents
from spladelake.spark.sql import install
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.upkeep.verify import FindingsError
from support.documents import write_documents, write_queries
from support.ledger import LEDGER
from support.stopping import StoppedError
from support.tables import table_rows

Texts = dict[str, str]
Weights = dict[str, dict[str, float]]
# (doc_id, rank, score) of each query.
Run = dict[str, list[tuple[str, int, float]]]

FIRST: Texts = {
    "a": "apple bread river",
    "b": "bread bread stone",
    "c": "river stone light",
    "d": "",
    "e": "apple light",
}
# One text is gone, one is another, one is new; no word is.
CHANGED: Texts = {**{i: FIRST[i] for i in "ade"}, "b": "bread river", "f": "stone apple light"}
WRITTEN, KEPT, DELETED = 2, 3, 1
QUERIES: Texts = {"q1": "apple bread", "q2": "stone", "q3": "light river light"}
# Sums of float32 in another order.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class State:
    """Vectors of one name. model_ids: of the rows of both sides."""

    result: dict[str, Any]
    model_ids: set[str]
    documents: Weights
    queries: Weights

    @cached_property
    def run(self) -> Run:
        """The ranking by exact fractions, equal scores in the order of ids."""
        ranked = {}
        for query_id, query in self.queries.items():
            shared = {i: query.keys() & document.keys() for i, document in self.documents.items()}
            scored = sorted(
                (-sum(Fraction(query[t]) * Fraction(self.documents[i][t]) for t in terms), i)
                for i, terms in shared.items()
                if terms
            )
            ranked[query_id] = [(i, rank, float(-score)) for rank, (score, i) in enumerate(scored, start=1)]
        return {query_id: hits for query_id, hits in ranked.items() if hits}


@dataclass(frozen=True)
class Story:
    """A lake's texts encoded, encoded again, changed, and encoded again, with what was seen after each step."""

    lake: str
    first: State
    first_run: Run
    again: dict[str, Any]
    properties: dict[str, str]
    hits: list[dict[str, Any]]
    stale: list[str]
    updated: State
    updated_run: Run
    left: list[str]


def assert_same(found: Weights, wanted: Weights) -> None:
    """The same texts with the same weights, to rounding."""
    LEDGER.compared(found, wanted)
    assert found.keys() == wanted.keys()
    for i, terms in wanted.items():
        weights = [(found[i].get(t, 0.0), terms.get(t, 0.0)) for t in sorted({*terms, *found[i]})]
        assert np.allclose(*np.array(weights).reshape(-1, 2).T, atol=TOLERANCE, rtol=0), i


class VectoriserTests:
    """Behaviour of every vectoriser: encode, skip, update, delete, resume, retrieve, search, SQL, verify.

    - kind: what the vectors' table must say of itself, and whose capabilities hold.
    - stops_at: the function that a run is stopped in, and the call of it that does not return.
    """

    kind: ClassVar[ModelKind]
    stops_at: ClassVar[tuple[ModuleType, str, int]]

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        """The model as `--model` names it."""
        raise NotImplementedError

    @classmethod
    def make(cls, run_job: Any, lake: str, model: str, name: str) -> dict[str, Any]:
        """Bring the vectors of a name to what the lake's texts are."""
        result: dict[str, Any] = run_job("encode_texts", lake=lake, model=model, vectors=name)
        return result

    @classmethod
    def expected(cls, model: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
        """Vectors of documents and queries, from outside of the product."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, spark: SparkSession, run_job: Any, model: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
        """One lake a vectoriser: what it holds is noted at each step."""
        lake = str(tmp_path_factory.mktemp("vectoriser") / "lake")
        write_documents(spark, lake, FIRST)
        write_queries(spark, lake, QUERIES)
        first = state(spark, lake, "v", cls.make(run_job, lake, model, "v"))
        first_run = retrieved(spark, run_job, lake, "v")
        again = cls.make(run_job, lake, model, "v")
        properties = table_properties(spark, vectors_table(lake, "v"))
        hits = cls.searched(spark, lake, model)
        write_documents(spark, lake, CHANGED)
        stale = findings(run_job, lake)
        updated = state(spark, lake, "v", cls.make(run_job, lake, model, "v"))
        updated_run = retrieved(spark, run_job, lake, "v")
        left = findings(run_job, lake)
        return Story(lake, first, first_run, again, properties, hits, stale, updated, updated_run, left)

    @classmethod
    def searched(cls, spark: SparkSession, lake: str, model: str) -> list[dict[str, Any]]:
        """What the first query finds as a question in free text."""
        return search_documents(spark, QUERIES["q1"], lake=lake, model=model, vectors="v", terms=0)

    def test_every_text_has_the_expected_vector(self, story: Story, model: str) -> None:
        documents, queries = self.expected(model, FIRST, QUERIES)
        assert_same(story.first.documents, documents)
        assert_same(story.first.queries, queries)

    def test_the_table_says_what_kind_of_model_made_it(self, story: Story) -> None:
        assert kind_of_vectors(story.properties) is self.kind

    def test_what_is_current_is_skipped(self, story: Story) -> None:
        assert story.again["status"] == "skipped"

    def test_a_run_ranks_by_the_exact_dot_product(self, story: Story) -> None:
        assert story.first_run == story.first.run
        assert story.updated_run == story.updated.run

    def test_after_an_update_all_is_as_if_encoded_for_the_first_time(self, story: Story, model: str) -> None:
        documents, queries = self.expected(model, CHANGED, QUERIES)
        assert_same(story.updated.documents, documents)
        assert_same(story.updated.queries, queries)

    def test_an_update_encodes_what_changed_or_all_where_weights_depend_on_all(self, story: Story) -> None:
        done = story.updated.result.get("documents", story.updated.result)
        if Capability.TEXT_ALONE in self.kind.capabilities:
            assert (done["rows"], done["kept"], done["deleted"]) == (WRITTEN, KEPT, DELETED)
        else:
            assert done["rows"] == len(CHANGED)

    def test_a_question_finds_what_the_same_query_does(self, story: Story) -> None:
        found = [(hit["doc_id"], hit["rank"]) for hit in story.hits]
        assert found == [(doc_id, rank) for doc_id, rank, _ in story.first_run["q1"]]
        scores = [score for *_, score in story.first_run["q1"]]
        assert [hit["score"] for hit in story.hits] == pytest.approx(scores, rel=TOLERANCE)

    def test_verification_names_vectors_that_the_texts_have_left_behind_and_nothing_else(self, story: Story) -> None:
        assert {said.partition(": ")[0] for said in story.stale} == {str(vectors_table(story.lake, "v"))}
        assert story.left == []

    def test_sql_encodes_a_question_as_the_query_or_says_why_not(
        self, spark: SparkSession, story: Story, model: str
    ) -> None:
        session = spark.newSession()
        installed = install(session, lake=story.lake, model=model, vectors="v")
        if Capability.SQL_FUNCTIONS not in self.kind.capabilities:
            assert {"encode_query", "text_terms", "search"} <= installed.missing.keys()
            return
        assert "encode_query" in installed.names
        row = session.sql(f"SELECT encode_query('{QUERIES['q3']}') AS v").first()
        assert row is not None
        vector = dict(zip(row["v"]["indices"], row["v"]["values"], strict=True))
        assert_same({"q3": named(vector, tokens(spark, story.lake, "v"))}, {"q3": story.updated.queries["q3"]})

    def test_a_run_that_stopped_leaves_no_half_and_the_next_one_ends_it(
        self, spark: SparkSession, run_job: Any, story: Story, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module, function, call = self.stops_at
        real, calls = getattr(module, function), []

        def stopping(*given: Any, **named: Any) -> Any:
            calls.append(function)
            if len(calls) == call:
                raise StoppedError
            return real(*given, **named)

        with monkeypatch.context() as patched:
            patched.setattr(module, function, stopping)
            with pytest.raises(StoppedError):
                self.make(run_job, story.lake, model, "stopped")
        assert not Path(story.lake, "vectors/stopped/documents/_delta_log").exists()
        ended = state(spark, story.lake, "stopped", self.make(run_job, story.lake, model, "stopped"))
        if Capability.TEXT_ALONE in self.kind.capabilities:
            done = ended.result["documents"]
            assert 0 < done["resumed"] == len(CHANGED) - done["rows"]
        assert_same(ended.documents, story.updated.documents)
        assert_same(ended.queries, story.updated.queries)
        assert ended.model_ids == story.updated.model_ids
        assert len(ended.model_ids) == 1


def vectors_table(lake: str, name: str) -> TableRef:
    """The table of document vectors."""
    return TableRef(path=f"{lake}/vectors/{name}/documents")


def tokens(spark: SparkSession, lake: str, name: str) -> dict[int, str]:
    """The vocabulary, each term id and token once."""
    rows = table_rows(f"{lake}/vectors/{name}/vocabulary")
    found = {row["term_id"]: row["token"] for row in rows}
    assert len(found) == len(set(found.values())) == len(rows)
    return found


def named(vector: Mapping[int, float], names: Mapping[int, str]) -> dict[str, float]:
    """Weights by token."""
    return {names[term]: weight for term, weight in vector.items()}


def state(spark: SparkSession, lake: str, name: str, result: dict[str, Any]) -> State:
    """What the tables of a name hold after a job with this result."""
    names, model_ids, sides = tokens(spark, lake, name), set(), []
    for side in ("documents", "queries"):
        rows = table_rows(f"{lake}/vectors/{name}/{side}")
        sides.append({row["id"]: named(dict(zip(row["indices"], row["values"], strict=True)), names) for row in rows})
        assert len(sides[-1]) == len(rows)  # every text stands once
        model_ids |= {row["model_id"] for row in rows}
    return State(result, model_ids, *sides)


def retrieved(spark: SparkSession, run_job: Any, lake: str, name: str) -> Run:
    """The run of the vectors of a name."""
    run_job("retrieve_run", lake=lake, vectors=name, run_id=name)
    found: Run = {}
    for row in sorted(table_rows(f"{lake}/runs"), key=lambda row: (row["query_id"], row["rank"])):
        found.setdefault(row["query_id"], []).append((row["doc_id"], row["rank"], row["score"]))
    return found


def findings(run_job: Any, lake: str) -> list[str]:
    """What verify_tables finds in the vectors of a lake."""
    try:
        found: list[str] = run_job("verify_tables", lake=lake)["findings"]
    except FindingsError as error:
        found = error.findings
    return [said for said in found if "/vectors/" in said]
