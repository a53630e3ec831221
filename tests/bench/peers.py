"""What else answers the same queries over the same vectors: each a builder of an index and its search, single-threaded.

A builder takes documents and the size of the vocabulary and returns a search, or several by name over one index; a
search takes queries and k and returns the rows of the best documents of each query, best first. A peer whose own form
of queries or results is made from ours is a `Steps`, so that this can be left out of its time. Imports are inside: a
package that is absent leaves only its own row out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from spladelake.vectors import SparseVectors

Found = list[list[int]]
Search = Callable[[SparseVectors, int], Found]
Builder = Callable[[SparseVectors, int], Search | dict[str, Search]]


@dataclass(frozen=True)
class Steps:
    """A search in three steps: our queries as the peer wants them, its answer for k, and the rows of the answer."""

    prepare: Callable[[SparseVectors], Any]
    answer: Callable[[Any, int], Any]
    rows: Callable[[Any], Found]

    def __call__(self, queries: SparseVectors, k: int) -> Found:
        """All steps."""
        return self.rows(self.answer(self.prepare(queries), k))


def steps_of(search: Search) -> Steps:
    """The steps of a search; one that is a single step takes and gives our form."""
    return search if isinstance(search, Steps) else Steps(lambda queries: queries, search, lambda found: found)


# Queries of one product where a peer takes several at once.
BATCH = 50
# Documents that sentence-transformers' evaluator scores at a time, for all queries; its default of 50,000 takes ten
# times the memory.
CHUNK = 5_000
# Terms of a query, the heaviest, and heap factor that Seismic searches with; no query has a thousand terms.
SEISMIC_SETTINGS = [(1_000, 0.9), (8, 0.9), (8, 1.0), (5, 1.0), (4, 0.9), (3, 0.9)]
# Documents for the peers that make every row of the join.
JOIN_DOCUMENTS = 20_000


def scipy_sparse(documents: SparseVectors, size: int) -> Search:
    """Product of two sparse matrices."""
    turned = matrix_of(documents, size).T.tocsr()

    def answer(asked: Any, k: int) -> list[Any]:
        found = []
        for first in range(0, asked.shape[0], BATCH):
            # A slice of all rows is copied, which takes longer than a query.
            scores = (asked if asked.shape[0] <= BATCH else asked[first : first + BATCH]) @ turned
            for q in range(scores.shape[0]):
                part = slice(scores.indptr[q], scores.indptr[q + 1])
                found.append(scores.indices[part][best(scores.data[part], k)])
        return found

    return Steps(lambda queries: matrix_of(queries, size), answer, lambda found: [rows.tolist() for rows in found])


def sparse_dot_topn(documents: SparseVectors, size: int) -> Search:
    """Product of two sparse matrices that keeps only the k highest of each row."""
    from sparse_dot_topn import sp_matmul_topn

    turned = matrix_of(documents, size).T.tocsr()

    def answer(asked: Any, k: int) -> Any:
        return sp_matmul_topn(asked, turned, top_n=k, sort=True, n_threads=1)

    def rows(found: Any) -> Found:
        return [part.tolist() for part in np.split(found.indices, found.indptr[1:-1])]

    return Steps(lambda queries: matrix_of(queries, size), answer, rows)


def torch_sparse(documents: SparseVectors, size: int) -> Search:
    """Sparse documents times dense queries."""
    import torch

    parts = (torch.from_numpy(a) for a in (documents.indptr, documents.indices.astype(np.int64), documents.values))
    matrix = torch.sparse_csr_tensor(*parts, size=(len(documents), size))

    def search(queries: SparseVectors, k: int) -> Found:
        found: Found = []
        for first in range(0, len(queries), BATCH):
            count = min(BATCH, len(queries) - first)
            dense = torch.zeros((size, count))
            for q in range(count):
                terms, weights = queries.row(first + q)
                dense[terms, q] = torch.from_numpy(weights)
            top = torch.topk((matrix @ dense).T.contiguous(), k, dim=1)
            found += keep_hits(top.indices, top.values)
        return found

    return search


def sentence_transformers(documents: SparseVectors, size: int) -> Search:
    """The search of SparseInformationRetrievalEvaluator, on vectors that are given."""
    from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    class Evaluator(SparseInformationRetrievalEvaluator):  # type: ignore[misc]
        def _record_sparsity_stats(self, *_: Any) -> None:
            """Not part of a search."""

        def compute_metrics(self, queries_result_list: Any) -> Any:
            self.found = queries_result_list
            return super().compute_metrics(queries_result_list[:1] * len(queries_result_list))

    whole = torch_rows(documents, size)

    def search(queries: SparseVectors, k: int) -> Found:
        asked = torch_rows(queries, size)
        model = SimpleNamespace(
            encode_query=lambda ids, **_: select(asked, ids), encode_document=lambda ids, **_: select(whole, ids),
        )  # fmt: skip
        ids = [str(i) for i in range(len(queries))]
        evaluator = Evaluator(
            {i: i for i in ids}, {str(i): str(i) for i in range(len(documents))}, {i: {"0"} for i in ids},
            corpus_chunk_size=CHUNK, score_functions={"dot": dot_score}, accuracy_at_k=[k], mrr_at_k=[k],
            precision_recall_at_k=[k], ndcg_at_k=[k], map_at_k=[k], show_progress_bar=False, write_csv=False,
        )  # fmt: skip
        evaluator.compute_metrices(model)
        hits = ([(-hit["score"], int(hit["corpus_id"])) for hit in of] for of in evaluator.found)
        return [[row for score, row in sorted(of) if score < 0] for of in hits]

    return search


def splade_index(documents: SparseVectors, size: int) -> Search:
    """Its numba backend."""
    from splade_index import SPLADE

    whole = torch_rows(documents, size)
    retriever = SPLADE(backend="numba")
    model = SimpleNamespace(
        encode_document=lambda ids, **_: whole,
        encode_query=lambda ids, **_: [whole[0]],
        tokenizer=SimpleNamespace(get_vocab=dict),
    )
    retriever.index(model, [str(i) for i in range(len(documents))], show_progress=False)

    def prepare(queries: SparseVectors) -> Any:
        return [str(i) for i in range(len(queries))], list(torch_rows(queries, size))

    def answer(asked: Any, k: int) -> Any:
        texts, encoded = asked
        model.encode_query = lambda ids, **_: encoded
        return retriever.retrieve(texts, k=k, show_progress=False, return_as="tuple")

    return Steps(prepare, answer, lambda found: keep_hits(found.doc_ids, found.scores))


def bmp(documents: SparseVectors, size: int) -> Search:
    """Block-max pruning in its exact setting; it takes weights as whole numbers of 8 bits, so vectors are rounded."""
    from bmp import Indexer, Searcher

    folder = Path(tempfile.mkdtemp(prefix="bench-bmp-"))
    step = documents.values.max() / 255
    whole = np.maximum(1, np.rint(documents.values / step)).astype(int)
    names = [str(t) for t in range(size)]
    indexer = Indexer(str(folder / "index"), bsize=32, compress_range=False)
    for d in range(len(documents)):
        part = slice(documents.indptr[d], documents.indptr[d + 1])
        terms = [names[t] for t in documents.indices[part].tolist()]
        indexer.add_document(str(d), dict(zip(terms, whole[part].tolist(), strict=True)))
    indexer.finish()
    searcher = Searcher(str(folder / "index"))
    shutil.rmtree(folder)

    def search(queries: SparseVectors, k: int) -> Found:
        found: Found = []
        for q in range(len(queries)):
            terms, weights = (a.tolist() for a in queries.row(q))
            ids, _ = searcher.search({names[t]: w for t, w in zip(terms, weights, strict=True)}, k, 1.0, 1.0)
            found.append([int(i) for i in ids])
        return found

    return search


def seismic(documents: SparseVectors, size: int) -> dict[str, Search]:
    """Approximate search, with longer lists than its defaults, at several settings: the recall of each is reported."""
    from seismic import SeismicDataset, SeismicIndex, get_seismic_string

    names = np.array([str(t) for t in range(size)], dtype=get_seismic_string())
    rows = SeismicDataset()
    for d in range(len(documents)):
        terms, weights = documents.row(d)
        rows.add_document(str(d), names[terms], weights)
    index = SeismicIndex.build_from_dataset(
        rows, n_postings=6_000, centroid_fraction=0.1, summary_energy=0.5, max_fraction=6.0, num_threads=1
    )

    def search_with(query_cut: int, heap_factor: float) -> Search:
        def search(queries: SparseVectors, k: int) -> Found:
            found: Found = []
            for q in range(len(queries)):
                terms, weights = queries.row(q)
                hits = index.search(str(q), names[terms], weights, k=k, query_cut=query_cut, heap_factor=heap_factor)
                found.append([int(doc_id) for _, _, doc_id in hits])
            return found

        return search

    return {f"seismic, {cut} terms, {factor}": search_with(cut, factor) for cut, factor in SEISMIC_SETTINGS}


def duckdb(documents: SparseVectors, size: int) -> Search:
    """The join in SQL, in memory."""
    import duckdb as package
    import pyarrow as pa

    connection = package.connect(config={"threads": 1})

    def table(name: str, vectors: SparseVectors) -> None:
        rows = np.repeat(np.arange(len(vectors)), vectors.active_dims)
        connection.register("given", pa.table({"row": rows, "term": vectors.indices, "weight": vectors.values}))
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given")

    table("documents", documents)

    def search(queries: SparseVectors, k: int) -> Found:
        table("queries", queries)
        rows = connection.execute(f"""
            SELECT query, row FROM (
                SELECT q.row AS query, d.row AS row, sum(q.weight::DOUBLE * d.weight) AS score
                FROM queries q JOIN documents d USING (term) GROUP BY ALL
            ) QUALIFY row_number() OVER (PARTITION BY query ORDER BY score DESC, row::VARCHAR) <= {k}
            ORDER BY query, score DESC, row::VARCHAR""").fetchall()
        found: Found = [[] for _ in range(len(queries))]
        for query, row in rows:
            found[query].append(row)
        return found

    return search


def sql(documents: SparseVectors, size: int) -> Search:
    """This project's own SQL strategy: Spark on one core, tables cached in memory."""
    from pyspark.sql import DataFrame

    from spladelake.spark.retrieve.join import top_k
    from spladelake.spark.session.start import spark_session

    session = spark_session("bench_retrieve", settings={"spark.master": "local[1]", "spark.driver.memory": "3g"})

    def frame(vectors: SparseVectors) -> DataFrame:
        rows = ((str(i), *(a.tolist() for a in vectors.row(i))) for i in range(len(vectors)))
        made = session.createDataFrame(rows, "id string, indices array<int>, `values` array<float>").cache()
        made.count()
        return made

    kept = frame(documents)

    def search(queries: SparseVectors, k: int) -> Found:
        ranked = top_k(session, frame(queries), kept, k=k).orderBy("query_id", "rank").collect()
        found: Found = [[] for _ in range(len(queries))]
        for row in ranked:
            found[int(row["query_id"])].append(int(row["doc_id"]))
        return found

    return search


PEERS: dict[str, Builder] = {
    "scipy": scipy_sparse, "sparse-dot-topn": sparse_dot_topn, "torch": torch_sparse,
    "sentence-transformers": sentence_transformers, "splade-index": splade_index, "bmp": bmp, "seismic": seismic,
    "duckdb": duckdb, "sql": sql,
}  # fmt: skip
# Those that compute exact scores of the vectors as they are, but for the rounding of their sums.
EXACT = {"scipy", "sparse-dot-topn", "torch", "sentence-transformers", "splade-index", "duckdb", "sql", "bmp"}
JOINS = {"duckdb", "sql"}


def matrix_of(vectors: SparseVectors, size: int) -> Any:
    """A CSR matrix with a row for each vector."""
    from scipy.sparse import csr_array

    return csr_array((vectors.values, vectors.indices, vectors.indptr), shape=(len(vectors), size))


def torch_rows(vectors: SparseVectors, size: int) -> Any:
    """A coalesced COO tensor, as encoders of sentence-transformers return."""
    import torch

    rows = np.repeat(np.arange(len(vectors)), vectors.active_dims)
    places = torch.from_numpy(np.stack([rows, vectors.indices.astype(np.int64)]))
    return torch.sparse_coo_tensor(places, torch.from_numpy(vectors.values), (len(vectors), size), is_coalesced=True)


def select(matrix: Any, ids: list[str]) -> Any:
    """Rows of a COO tensor; ids are their numbers, one after the other."""
    first, last = int(ids[0]), int(ids[-1]) + 1
    return matrix if last - first == matrix.shape[0] else matrix.narrow_copy(0, first, last - first)


def best(scores: Any, k: int) -> Any:
    """Places of the k highest scores, highest first."""
    if len(scores) > k:
        places = np.argpartition(scores, -k)[-k:]
        return places[np.argsort(-scores[places])]
    return np.argsort(-scores)


def keep_hits(rows: Any, scores: Any) -> Found:
    """Rows with a score above 0."""
    return [
        [row for row, score in zip(*pair, strict=True) if score > 0]
        for pair in zip(rows.tolist(), scores.tolist(), strict=True)
    ]
