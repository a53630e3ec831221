"""BM25's words and weights are those of bm25s, Lucene's formula worked by hand included."""

from __future__ import annotations

import math
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from spladelake.bm25 import Bm25Encoder, Bm25Settings, WordCounter, read_stop_words
from spladelake.bm25.counts import Counting
from spladelake.bm25.words import WORD, word_counter
from spladelake.config import EncodeTexts, checked
from spladelake.errors import DataError, UsageError
from spladelake.scoring import check_vectors
from spladelake.vectors import SparseVectors

TEXTS = [
    "The quick brown fox jumps over the lazy dog; the dog sleeps.",
    "Running dogs and a running fox: Straße, façade, naïve, 東京タワー",
    "x y z 1 22 333 don't stop_words stop-words",
    "",
    None,
    "the of and",
    "fox fox fox",
]
QUERIES = ["quick running fox", "dogs dogs unknownword", "", "straße 22"]


def dense(vectors: SparseVectors, width: int) -> np.ndarray:
    full = np.zeros((len(vectors), width))
    for row in range(len(vectors)):
        indices, values = vectors.row(row)
        full[row, indices] = values
    return full


@pytest.mark.parametrize(("stemmer", "stop"), [("english", "english"), ("none", "none"), ("german", "english")])
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 1.0), (0.5, 0.0)])
def test_scores_equal_bm25s_on_the_same_texts(stemmer: str, stop: str, k1: float, b: float) -> None:
    settings = Bm25Settings(k1=k1, b=b, stemmer=stemmer, stop_words=read_stop_words(stop))
    ours = Bm25Encoder.learn(TEXTS, settings)
    width = len(ours.vocabulary)
    found = dense(ours.encode_queries(QUERIES), width) @ dense(ours.encode_documents(TEXTS), width).T
    options = {
        "stopwords": list(read_stop_words(stop)), "return_ids": False, "show_progress": False,
        "stemmer": None if stemmer == "none" else Stemmer.Stemmer(stemmer),
    }  # fmt: skip
    reference = bm25s.BM25(method="lucene", k1=k1, b=b)
    reference.index(bm25s.tokenize([text or "" for text in TEXTS], **options), show_progress=False)
    for row, query in enumerate(bm25s.tokenize(QUERIES, **options)):
        known = [word for word in query if word in reference.vocab_dict]
        wanted = reference.get_scores(known) if known else np.zeros(len(TEXTS))
        # bm25s keeps float32 weights and adds them in float32.
        assert found[row] == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert found[0].max() > 0


def test_a_weight_is_lucenes_formula_worked_by_hand() -> None:
    bm25 = Bm25Encoder.learn(["river river bank", "bank"], Bm25Settings(k1=0.9, b=0.4, stemmer="none"))
    indices, values = bm25.encode_documents(["river river bank"]).row(0)
    assert indices.tolist() == [bm25.vocabulary["bank"], bm25.vocabulary["river"]] == [0, 1]
    # N = 2, length 3, average length 2: k1 (1 - 0.4 + 0.4 · 3/2) = 1.08. bank: df 2, tf 1; river: df 1, tf 2.
    assert values[0] == pytest.approx(math.log(1 + 0.5 / 2.5) * 1 / 2.08, rel=1e-6)
    assert values[1] == pytest.approx(math.log(1 + 1.5 / 1.5) * 2 / 3.08, rel=1e-6)


def test_vectors_keep_the_invariants_and_every_text_its_row() -> None:
    bm25 = Bm25Encoder.learn(TEXTS)
    documents, queries = bm25.encode_documents(TEXTS), bm25.encode_queries(QUERIES)
    check_vectors(documents, vocabulary_size=len(bm25.vocabulary), place="found")
    check_vectors(queries, vocabulary_size=len(bm25.vocabulary), place="found")
    assert (len(documents), len(queries)) == (len(TEXTS), len(QUERIES))
    assert documents.active_dims[3:6].tolist() == [0, 0, 0]


def test_stop_words_are_taken_out_before_stemming_and_come_from_a_file_too(tmp_path: Path) -> None:
    words = tmp_path / "stop.txt"
    words.write_text("# mine\nRunning\nfox # animal\n\n", encoding="utf-8")
    settings = Bm25Settings(stop_words=read_stop_words(str(words)))
    assert settings.stop_words == ("fox", "running")
    assert WordCounter(settings).words("Running runs the FOXES fox") == ["run", "the", "fox"]


def test_fingerprints_differ_by_every_setting() -> None:
    chosen = [{}, {"k1": 1.2}, {"b": 0.75}, {"stemmer": "none"}, {"stop_words": ()}]
    assert len({Bm25Settings(**given).fingerprint for given in chosen}) == len(chosen)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "splade-tiny", "k1": 1.2}, "--k1 needs --model bm25"),
        ({"model": "splade-tiny", "stopwords": "none"}, "--stopwords needs --model bm25"),
        ({"model": "bm25", "max_length": 64}, "--max-length needs a neural model"),
        ({"model": "bm25", "minimum_weight": 0.5}, "--minimum-weight needs a neural model"),
        ({"model": "bm25", "b": 1.5}, "b: found 1.5"),
        ({"model": "bm25", "k1": -1}, "k1: found -1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        checked(EncodeTexts, {"lake": "x", **given}, place="encode_texts")


def test_an_unknown_stemmer_a_missing_file_and_texts_without_words_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stemmer: it is 'klingon'; known are none, .*english"):
        Bm25Settings(stemmer="klingon")
    with pytest.raises(UsageError, match="there is no such list or file"):
        read_stop_words(str(tmp_path / "absent.txt"))
    with pytest.raises(DataError, match="none of them has a word"):
        Bm25Encoder.learn(["", "the"])


@given(st.text(st.sampled_from("aB1_ \t\n-'\x00éİſ東"), max_size=30))
def test_words_are_those_of_the_pattern_whatever_the_characters(text: str) -> None:
    plain = WordCounter(Bm25Settings(stemmer="none", stop_words=()))
    assert plain.words(text) == WORD.findall(text.lower())


@given(st.lists(st.text(st.sampled_from("ab éz東"), max_size=20), max_size=8))
def test_counts_of_many_texts_are_those_of_each_text_alone(texts: list[str]) -> None:
    counter = word_counter(Bm25Settings())
    counting = Counting(counter)
    counting.add(texts[:3])
    counting.add(texts[3:])
    found = counting.finish()
    words = found.words.to_pylist()
    assert words == sorted({word for text in texts for word in counter.count(text)}, key=str.encode)
    for row, text in enumerate(texts):
        held = range(found.indptr[row], found.indptr[row + 1])
        listed = [(words[found.terms[i]], int(found.counts[i])) for i in held]
        assert listed == sorted(counter.count(text).items(), key=lambda entry: entry[0].encode())
        assert found.lengths[row] == counter.count(text).total()
