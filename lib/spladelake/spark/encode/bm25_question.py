"""A question under BM25: counts of its words, under the term ids of the documents' vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.bm25.encoder import Bm25Encoder
from spladelake.bm25.settings import Bm25Settings
from spladelake.bm25.words import word_counter
from spladelake.config.model_kinds import BM25_MODEL
from spladelake.encoder.texts import clean_texts
from spladelake.errors import DataError
from spladelake.spark.encode.bm25_packs import learnt_vocabulary
from spladelake.spark.encode.question import Learnt, Question
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake


def counted_question(text: str, learnt: Learnt) -> Question:
    """Encode a question. Raises DataError unless the documents were encoded with the default settings."""
    settings = Bm25Settings()
    model_id = learnt_model(learnt, settings)
    (cleaned,), _ = clean_texts([text])
    vocabulary = dict(learnt.term_ids(sorted(set(word_counter(settings).words(cleaned)))))
    encoder = Bm25Encoder(settings, vocabulary, np.zeros(0, dtype=np.int64), documents=0, average_length=0.0)
    return Question(encoder.encode_queries([text]), model_id)


def learnt_model(learnt: Learnt, settings: Bm25Settings) -> str:
    """Return the model_id of the document vectors.

    Raises DataError if there are none, if other settings made them, or if the vocabulary belongs to other vectors.
    """
    documents, vocabulary = (learnt.lake.vectors(learnt.name, part) for part in ("documents", "vocabulary"))
    fix = (
        f"Run encode_texts --lake {learnt.lake.root} --model {BM25_MODEL} with the same settings for documents and "
        "queries."
    )
    if learnt.properties is None:
        wanted = "wanted document vectors, because their vocabulary gives the term ids of a query"
        raise DataError(str(documents), "there are no vectors", wanted, fix)
    if learnt.properties.get("spladelake.bm25") != settings.fingerprint:
        wanted = "wanted the same settings for documents and queries"
        raise DataError(str(documents), "the vectors were made with other BM25 settings", wanted, fix)
    model_id = learnt.properties.get("spladelake.model_id")
    if model_id is None or learnt.vocabulary_model_id != model_id:
        wanted = f"wanted the vocabulary of {documents}"
        raise DataError(str(vocabulary), "the vocabulary belongs to other vectors", wanted, fix)
    return model_id


def learnt_tables(session: SparkSession, lake: Lake, name: str) -> Learnt:
    """Read with Spark what BM25 learnt; `term_ids` reads only the vocabulary rows that it is asked for."""
    documents, vocabulary = (lake.vectors(name, part) for part in ("documents", "vocabulary"))

    def term_ids(words: Sequence[str]) -> Mapping[str, int]:
        asked = pa.array(words, pa.string())
        ids = learnt_vocabulary(session, vocabulary, asked).ids_of(asked)
        return {word: term_id for word, term_id in zip(words, ids.tolist(), strict=True) if term_id >= 0}

    said = {ref: table_properties(session, ref) for ref in (documents, vocabulary) if ref.exists(session)}
    return Learnt(lake, name, said.get(documents), said.get(vocabulary, {}).get("spladelake.model_id"), term_ids)
