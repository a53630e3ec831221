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

_OPTIONS = "--k1, --b, --stemmer and --stopwords"


def counted_question(text: str, learnt: Learnt) -> Question:
    """Encode a question. Raises DataError unless the documents were encoded with the default settings."""
    settings = Bm25Settings()
    model_id = learnt_model(learnt, settings, of_question=True)
    (cleaned,), _ = clean_texts([text])
    vocabulary = dict(learnt.term_ids(sorted(set(word_counter(settings).words(cleaned)))))
    encoder = Bm25Encoder(settings, vocabulary, np.zeros(0, dtype=np.int64), documents=0, average_length=0.0)
    return Question(encoder.encode_queries([text]), model_id)


def learnt_model(learnt: Learnt, settings: Bm25Settings, *, of_question: bool = False) -> str:
    """Return the model_id of the document vectors.

    - settings: the settings of the queries.
    - of_question: whether a question is encoded, which always has the default settings.

    Raises DataError if there are none, if other settings made them, or if the vocabulary belongs to other vectors.
    """
    documents, vocabulary = (learnt.lake.vectors(learnt.name, part) for part in ("documents", "vocabulary"))
    name = "" if learnt.name == BM25_MODEL else f" --vectors {learnt.name}"
    encode = f"spladelake encode_texts --lake {learnt.lake.root} --model {BM25_MODEL}{name}"
    if learnt.properties is None:
        wanted = "wanted document vectors, because their vocabulary gives the term ids of a query"
        raise DataError(
            str(documents),
            "there are no vectors",
            wanted,
            f"Correct --lake or --vectors, or encode the documents first with this command: {encode}",
        )
    made = learnt.properties.get("spladelake.bm25")
    if made is None:
        fix = "Set --vectors to the name of vectors that BM25 made, or leave out --vectors."
        raise DataError(str(documents), "the vectors were not made by BM25", "wanted vectors of BM25", fix)
    if made != settings.fingerprint:
        raise _other_settings(str(documents), encode, of_question=of_question)
    model_id = learnt.properties.get("spladelake.model_id")
    if model_id is None or learnt.vocabulary_model_id != model_id:
        found = f"the vocabulary was written for other vectors than those in {documents}"
        wanted, fix = (
            "wanted the vocabulary of these vectors",
            f"Encode the documents again with this command: {encode} --force",
        )
        raise DataError(str(vocabulary), found, wanted, fix)
    return model_id


def _other_settings(place: str, encode: str, *, of_question: bool) -> DataError:
    """Return the error for documents whose BM25 settings differ from the settings of the queries.

    - place: the table of the documents' vectors.
    - encode: the command that encodes both sides.
    """
    if of_question:
        found = "the vectors were made with BM25 settings that are not the defaults"
        wanted = "wanted the default settings, because a question is always encoded with them"
        return DataError(place, found, wanted, f"Encode the documents without {_OPTIONS}, with this command: {encode}")
    found = "the documents were encoded with BM25 settings that differ from those of this command"
    wanted = f"wanted the same {_OPTIONS} for documents and queries"
    fix = (
        f"Set {_OPTIONS} to the values that the documents were encoded with. Or add your own values to this command, "
        f"which encodes documents and queries again: {encode}"
    )
    return DataError(place, found, wanted, fix)


def learnt_tables(session: SparkSession, lake: Lake, name: str) -> Learnt:
    """Read with Spark what BM25 learnt; `term_ids` reads only the vocabulary rows that it is asked for."""
    documents, vocabulary = (lake.vectors(name, part) for part in ("documents", "vocabulary"))

    def term_ids(words: Sequence[str]) -> Mapping[str, int]:
        asked = pa.array(words, pa.string())
        ids = learnt_vocabulary(session, vocabulary, asked).ids_of(asked)
        return {word: term_id for word, term_id in zip(words, ids.tolist(), strict=True) if term_id >= 0}

    said = {ref: table_properties(session, ref) for ref in (documents, vocabulary) if ref.exists(session)}
    return Learnt(lake, name, said.get(documents), said.get(vocabulary, {}).get("spladelake.model_id"), term_ids)
