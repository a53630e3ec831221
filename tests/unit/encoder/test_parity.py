"""The vectors are those of sentence-transformers' SparseEncoder on the same checkpoint."""

from __future__ import annotations

import pytest


def dense(reference, texts, kind="document"):
    encode = reference.encode_query if kind == "query" else reference.encode_document
    return encode(texts, convert_to_sparse_tensor=False).numpy()


@pytest.mark.collection
def test_passages_have_the_vectors_of_sentence_transformers(tiny, reference, collection_texts, assert_same_vectors):
    texts = collection_texts("msmarco-dl1920", chosen=slice(200))
    assert_same_vectors(tiny.encode_documents(texts), dense(reference, texts))


@pytest.mark.collection
def test_queries_have_the_vectors_of_sentence_transformers(tiny, reference, collection_texts, assert_same_vectors):
    texts = collection_texts("msmarco-dl1920", file="queries.jsonl")
    assert_same_vectors(tiny.encode_queries(texts), dense(reference, texts, "query"))
