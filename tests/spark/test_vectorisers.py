"""SPLADE, static queries, BM25 and imported vectors: one behaviour, the expected vectors of each from outside."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import Stemmer
import torch
from pyspark.sql import SparkSession
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

from spladelake.config.model_kinds import BM25, BM25_MODEL, IMPORTED, NEURAL
from spladelake.encoder import resolve_checkpoint
from spladelake.errors import DataError
from spladelake.spark.encode import bm25, chunks
from spladelake.spark.exchange import import_vectors
from spladelake.spark.retrieve.search import search_documents
from support.families import bert
from support.tables import table_rows
from support.vectorisers import QUERIES, Texts, VectoriserTests, Weights


def encoded_by_sentence_transformers(folder: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
    """Weights by token; texts without content have none."""
    model = SparseEncoder(folder, device="cpu")
    names = model.tokenizer.convert_ids_to_tokens(range(len(model.tokenizer)))
    found = []
    for texts, encode in ((documents, model.encode_document), (queries, model.encode_query)):
        rows = encode(list(texts.values()), convert_to_sparse_tensor=False).cpu() if texts else torch.empty(0)
        terms = [{names[t]: float(row[t]) for t in row.nonzero().flatten().tolist()} for row in rows]
        found.append({i: of_text if text else {} for (i, text), of_text in zip(texts.items(), terms, strict=True)})
    return found[0], found[1]


class NeuralTests(VectoriserTests):
    """What a checkpoint does: two texts make a chunk, and a run is stopped before the second is committed."""

    kind = NEURAL
    stops_at = (chunks, "_commit_chunk", 2)

    @classmethod
    def make(cls, run_job: Any, lake: str, model: str, name: str) -> dict[str, Any]:
        chunk = {"chunk_rows": 2} if name == "stopped" else {}
        result: dict[str, Any] = run_job("encode_texts", lake=lake, model=model, vectors=name, **chunk)
        return result

    @classmethod
    def expected(cls, model: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
        return encoded_by_sentence_transformers(resolve_checkpoint(model).folder, documents, queries)


@pytest.mark.slow  # by default test_encode, test_incremental and test_retrieve prove the same of SPLADE
class TestSplade(NeuralTests):
    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> str:
        return "splade-tiny"


@pytest.mark.slow
class TestStaticQueries(NeuralTests):
    """Documents by a small random model, queries by a weight for each token."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("static")
        plain = SparseEncoder(str(bert(folder / "plain")), device="cpu")
        weight = torch.rand(len(plain.tokenizer), generator=torch.Generator().manual_seed(1)) * 5
        queries = [SparseStaticEmbedding(tokenizer=plain.tokenizer, weight=weight)]
        router = Router.for_query_document(query_modules=queries, document_modules=[plain[0], plain[1]])
        SparseEncoder(modules=[router], device="cpu").save(str(folder / "static"))
        return str(folder / "static")


@pytest.mark.slow  # by default test_search proves most of it
class TestQueryModel(NeuralTests):
    """Documents by one model, queries by another. Only the first encode of some vectors names the second model."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("pair")
        bert(folder / "queries", hidden_size=16, num_hidden_layers=1)
        return str(bert(folder / "documents"))

    @classmethod
    def make(cls, run_job: Any, lake: str, model: str, name: str) -> dict[str, Any]:
        given = {"chunk_rows": 2} if name == "stopped" else {}
        if not Path(lake, "vectors", name, "documents", "_delta_log").exists():
            given["query_model"] = str(Path(model).with_name("queries"))
        result: dict[str, Any] = run_job("encode_texts", lake=lake, model=model, vectors=name, **given)
        return result

    @classmethod
    def expected(cls, model: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
        of_documents, _ = encoded_by_sentence_transformers(model, documents, {})
        _, of_queries = encoded_by_sentence_transformers(str(Path(model).with_name("queries")), {}, queries)
        return of_documents, of_queries


@pytest.mark.slow  # by default test_bm25 proves the same of BM25
class TestBm25(VectoriserTests):
    """Lucene's BM25 at k1 = 0.9 and b = 0.4. A run is stopped between the vocabulary and the vectors."""

    kind = BM25
    stops_at = (bm25, "replace_rows", 1)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> str:
        return BM25_MODEL

    @classmethod
    def expected(cls, model: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
        stem = Stemmer.Stemmer("english").stemWord
        counts = {i: Counter(map(stem, text.split())) for i, text in documents.items()}
        frequency = Counter(word for counted in counts.values() for word in counted)
        average = sum(counted.total() for counted in counts.values()) / len(counts)

        def weight(word: str, counted: Counter[str]) -> float:
            idf = math.log1p((len(counts) - frequency[word] + 0.5) / (frequency[word] + 0.5))
            return idf * counted[word] / (counted[word] + 0.9 * (0.6 + 0.4 * counted.total() / average))

        weighed = {i: {word: weight(word, counted) for word in counted} for i, counted in counts.items()}
        return weighed, {i: dict(Counter(map(stem, text.split()))) for i, text in queries.items()}


@pytest.mark.slow  # by default test_vector_exchange proves the same of imported vectors
class TestImported(VectoriserTests):
    """Vectors of another engine's files, here the counts of words; their model is not at hand."""

    kind = IMPORTED
    stops_at = (import_vectors, "replace_rows", 1)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> str:
        return "splade-tiny"

    @classmethod
    def make(cls, run_job: Any, lake: str, model: str, name: str) -> dict[str, Any]:
        texts = table_rows(f"{lake}/documents")
        sides = {"documents": {row["doc_id"]: row["text"] for row in texts}, "queries": QUERIES}
        results = {}
        for side, of_side in sides.items():
            file = Path(lake).parent / f"{side}.jsonl"
            lines = [json.dumps({"id": i, "vector": Counter(text.split())}) + "\n" for i, text in of_side.items()]
            if not file.exists() or file.read_text() != "".join(lines):
                file.write_text("".join(lines))
            given = {"lake": lake, "input": str(file), "input_format": "anserini", "vectors": name, "side": side}
            results[side] = run_job("import_vectors", **given, **({"like": name} if side == "queries" else {}))
        result: dict[str, Any] = results["documents"]
        return result

    @classmethod
    def expected(cls, model: str, documents: Texts, queries: Texts) -> tuple[Weights, Weights]:
        return tuple({i: dict(Counter(text.split())) for i, text in of.items()} for of in (documents, queries))  # type: ignore[return-value]

    @classmethod
    def searched(cls, spark: SparkSession, lake: str, model: str) -> list[dict[str, Any]]:
        with pytest.raises(DataError, match="the vectors have the model_id imported-"):
            search_documents(spark, QUERIES["q1"], lake=lake, model=model, vectors="v")
        return []

    def test_a_question_finds_what_the_same_query_does(self, story: Any) -> None:
        """There is no model that a question could be encoded by: see `searched`."""
        assert story.hits == []
