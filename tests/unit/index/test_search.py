"""A search in the files of an index finds what brute force finds, and reads little but the question's postings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spladelake.errors import DataError
from spladelake.index.files import Counter, LocalFile, OtherFormError, stored_rows
from spladelake.index.layout import ids_to_bytes, to_bytes
from spladelake.index.search import IndexSearch
from spladelake.scoring import DocIds, invert
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import brute_force, random_vectors, shuffled_ids

TERMS = 200
SCHEMA = pa.schema(
    [("source_file", pa.string()), ("documents", pa.int32())]
    + [(name, pa.binary()) for name in ("id_starts", "ids", "terms", "ordinals", "weights")]
    + [("model_id", pa.string())]
)


class Counted(LocalFile):
    """A file that counts the bytes that are read at its places."""

    bytes = 0

    def read_at(self, place: int, size: int) -> bytes:
        Counted.bytes += size
        return super().read_at(place, size)


def write_index(path: Path, vectors: SparseVectors, ids: Sequence[str], *, block: int, **options: object) -> None:
    """Write a file of the index with a row for each `block` documents."""
    how = {"compression": "none", "use_dictionary": False, **options}
    with pq.ParquetWriter(path, SCHEMA, **how) as writer:
        for first in range(0, len(ids), block):
            rows = np.arange(first, min(first + block, len(ids)))
            of_rows = invert(vectors.take(rows), vocabulary_size=TERMS)
            names = DocIds.of([ids[n] for n in rows])
            row = ["f", len(rows), *ids_to_bytes(names), *to_bytes(of_rows), "made"]
            columns = [pa.array([value], field.type) for value, field in zip(row, SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


def opened(*paths: Path, of_passages: bool = False) -> IndexSearch:
    counter = Counter()
    rows = [row for path in paths for row in stored_rows(Counted(path), counter)]
    return IndexSearch(rows, TERMS, of_passages, counter)


@pytest.mark.parametrize("levels", [None, 1, 3])
@pytest.mark.parametrize("k", [1, 7, 40, 1000])
def test_the_best_are_those_of_brute_force_however_scores_tie(tmp_path: Path, levels: int | None, k: int) -> None:
    rng = np.random.default_rng(k)
    vectors = random_vectors(rng, 900, vocabulary_size=TERMS, most_terms=12, levels=levels)
    questions = random_vectors(rng, 6, vocabulary_size=TERMS, most_terms=9, levels=levels)
    ids = shuffled_ids(rng, 900)
    write_index(tmp_path / "a", vectors.take(np.arange(700)), ids[:700], block=300)
    write_index(tmp_path / "b", vectors.take(np.arange(700, 900)), ids[700:], block=200)
    index = opened(tmp_path / "a", tmp_path / "b")
    wanted = brute_force(questions, vectors, ids, k=k, vocabulary_size=TERMS)
    for n in range(len(questions)):
        question = questions.take(np.array([n]))
        hits = index.best(question, k=k)
        assert [hit.row_id for hit in hits] == [doc_id for query, doc_id, _ in wanted if query == n]
        assert [hit.score for hit in hits] == [float(score) / 2**76 for query, _, score in wanted if query == n]
        own = [vectors.row(ids.index(hit.row_id)) for hit in hits]
        for (indices, values), (all_indices, all_values) in zip(index.vectors(hits, question), own, strict=True):
            shared = np.isin(all_indices, question.indices)
            assert indices.tolist() == all_indices[shared].tolist()
            assert values.tolist() == all_values[shared].tolist()


def test_a_document_is_found_by_its_best_passage(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors = random_vectors(rng, 400, vocabulary_size=TERMS, most_terms=12, levels=2)
    names = [f"d{document}" for document in rng.integers(0, 60, 400)]
    ids = [f"{name}#{names[:n].count(name):06d}" for n, name in enumerate(names)]
    write_index(tmp_path / "a", vectors, ids, block=150)
    question = random_vectors(rng, 1, vocabulary_size=TERMS, most_terms=9, levels=2)
    every = brute_force(question, vectors, ids, k=400, vocabulary_size=TERMS)
    best: dict[str, tuple[int, str]] = {}
    for _, row_id, score in every:
        best[row_id[:-7]] = min(best.get(row_id[:-7], (0, "")), (-score, row_id))
    wanted = sorted((score, name, row_id) for name, (score, row_id) in best.items())
    assert len(wanted) > 20
    for k in (1, 10, 100):
        hits = opened(tmp_path / "a", of_passages=True).best(question, k=k)
        assert [hit.row_id for hit in hits] == [row_id for _, _, row_id in wanted[:k]]


def test_only_the_postings_of_the_question_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    vectors = random_vectors(rng, 20_000, vocabulary_size=TERMS, most_terms=60)
    write_index(tmp_path / "a", vectors, [f"d{n}" for n in range(20_000)], block=20_000)
    index = opened(tmp_path / "a")
    size, footer = (tmp_path / "a").stat().st_size, index.counter.bytes
    Counted.bytes = 0
    hits = index.best(SparseVectors.from_rows([([150, 190], [1.0, 1.0])]), k=10)
    assert len(hits) == 10
    assert index.counter.bytes - footer == Counted.bytes
    postings = int(np.isin(vectors.indices, [150, 190]).sum())
    # 5 bytes a posting, 8 bytes a term for the directory, and 32 ids.
    assert Counted.bytes < 5 * postings + 8 * TERMS + 2000
    assert Counted.bytes < 0.02 * size
    Counted.bytes = 0
    assert index.best(SparseVectors.from_rows([([], [])]), k=10) == []
    assert Counted.bytes == 0


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    vectors = SparseVectors.from_rows([([1], [1.0]), ([1], [1.0])])
    write_index(tmp_path / "a", vectors, ["x", "x"], block=2)
    with pytest.raises(DataError, match="the id 'x' is in more than one row"):
        opened(tmp_path / "a").best(SparseVectors.from_rows([([1], [1.0])]), k=5)


@pytest.mark.parametrize(
    "options", [{"compression": "zstd"}, {"use_dictionary": True}, {"write_statistics": False}], ids=str
)
def test_a_file_of_another_form_is_told_apart(tmp_path: Path, options: dict[str, object]) -> None:
    write_index(tmp_path / "a", SparseVectors.from_rows([([1], [1.0])]), ["x"], block=1, **options)
    with pytest.raises(OtherFormError):
        list(stored_rows(LocalFile(tmp_path / "a"), Counter()))
    rows = pq.read_table(tmp_path / "a")
    pq.write_table(pa.concat_tables([rows, rows]), tmp_path / "b", compression="none", use_dictionary=False)
    with pytest.raises(OtherFormError, match="holds 2 rows instead of 1"):
        list(stored_rows(LocalFile(tmp_path / "b"), Counter()))
