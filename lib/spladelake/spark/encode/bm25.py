"""BM25 in the encode job: words are counted and weighed in packs of texts; the tables are as for a neural model.

The weights of each document depend on all documents, so a changed corpus is weighed again as a whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from pyspark.sql import SparkSession

from spladelake.bm25.fingerprint import vocabulary_sums
from spladelake.bm25.settings import (
    DEFAULT_B,
    DEFAULT_K1,
    DEFAULT_STEMMER,
    DEFAULT_STOP_WORDS,
    Bm25Settings,
    read_stop_words,
)
from spladelake.config import EncodeTexts
from spladelake.config.model_kinds import BM25_MODEL
from spladelake.errors import DataError
from spladelake.names import short_name
from spladelake.results import EncodeResult, SideResult
from spladelake.spark.encode.bm25_packs import (
    Tally,
    counted_texts,
    learnt_vocabulary,
    tallied,
    weighed,
)
from spladelake.spark.encode.bm25_question import learnt_model, learnt_tables
from spladelake.spark.encode.bm25_worker import IDS, TEXTS, TOKENS, CountWords, Vocabulary, WeighWords, WordStatistics
from spladelake.spark.encode.dry_run import forecast_bm25
from spladelake.spark.encode.text_tables import PROPERTY, TextTable, sides_of, text_table
from spladelake.spark.encode.texts import SIDES
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.properties import set_properties, table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import VECTORS
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.vocabulary import token_rows, write_vocabulary
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Bm25Tables:
    """The tables of one set of vectors, by side."""

    lake: Lake
    name: str

    def __getitem__(self, side: str) -> TableRef:
        return self.lake.vectors(self.name, side)


def encode_bm25(session: SparkSession, options: EncodeTexts) -> EncodeResult:
    """Encode the lake's documents, queries or both with BM25; skip a side whose vectors are current.

    A dry run only forecasts the work.
    """
    settings = Bm25Settings(
        k1=DEFAULT_K1 if options.k1 is None else options.k1,
        b=DEFAULT_B if options.b is None else options.b,
        stemmer=options.stemmer or DEFAULT_STEMMER,
        stop_words=read_stop_words(options.stopwords or DEFAULT_STOP_WORDS),
    )
    lake = Lake(options.lake)
    if options.dry_run:
        return _forecast(session, lake, settings, options)
    tables = _Bm25Tables(lake, short_name(options.vectors or options.model))
    texts = {side: text_table(session, lake, side, options) for side in sides_of(session, lake, options)}
    result: dict[str, Any] = {"model": BM25_MODEL}
    if "documents" in texts:
        work = _Side(session, tables, settings, texts["documents"], options.force)
        result["documents"] = _encode_documents(work)
    model_id = learnt_model(learnt_tables(session, lake, tables.name), settings)
    if "queries" in texts:
        work = _Side(session, tables, settings, texts["queries"], options.force)
        result["queries"] = _encode_queries(work, model_id=model_id)
    sides = [part for part in result.values() if isinstance(part, dict)]
    skipped = all(part["status"] == "skipped" for part in sides)
    return cast("EncodeResult", {**result, "model_id": model_id, "status": "skipped" if skipped else "written"})


@dataclass(frozen=True)
class _Side:
    """One side of an encode: the tables of vectors, the settings, and the table of its texts."""

    session: SparkSession
    tables: _Bm25Tables
    settings: Bm25Settings
    texts: TextTable
    force: bool

    @property
    def target(self) -> TableRef:
        return self.tables[self.texts.side.name]

    def properties(self, version: int, model_id: str) -> dict[str, str]:
        """Return the properties that both sides have."""
        had = table_properties(self.session, self.target) if self.target.exists(self.session) else {}
        said = self.texts.property()
        return {
            "model": BM25_MODEL,
            "model_id": model_id,
            "source": str(self.texts.ref),
            "source_version": str(version),
            **({PROPERTY: said} if said or f"spladelake.{PROPERTY}" in had else {}),
        }


def _forecast(session: SparkSession, lake: Lake, settings: Bm25Settings, options: EncodeTexts) -> EncodeResult:
    """Return the forecast of each side, and write nothing."""
    result: dict[str, Any] = {"model": BM25_MODEL, "status": "forecast"}
    for name in sides_of(session, lake, options):
        texts = text_table(session, lake, name, options).newest_texts(session)
        result[name] = forecast_bm25(session, texts, settings, SIDES[name])
    return cast("EncodeResult", result)


def _encode_documents(side: _Side) -> SideResult:
    session, tables, target = side.session, side.tables, side.target
    version = side.texts.ref.version(session)
    lineage = _lineage(side.texts, version, side.settings.fingerprint)
    ids = {table: table_properties(session, tables[table]).get("spladelake.model_id") if tables[table].exists(session)
           else None for table in ("documents", "vocabulary")}  # fmt: skip
    whole = ids["documents"] is not None and ids["documents"] == ids["vocabulary"]
    return made_unless_current(
        session, {target: lineage}, lambda: _weigh_documents(side, version, lineage),
        force=side.force or not whole, step="count the words of the documents", known=SideResult(table=str(target)),
    )  # fmt: skip


def _weigh_documents(side: _Side, version: int, lineage: Lineage) -> dict[str, Any]:
    """Write the vocabulary and the documents' vectors; return the counts."""
    session, tables, settings = side.session, side.tables, side.settings
    with counted_texts(session, side.texts, version, CountWords(settings, "texts")) as counted:
        tally = tallied(counted)
        _check_ids(side, tally, version)
        statistics, model_id = _learnt(tally, settings, place=side.texts.ref)
        properties = {
            **side.properties(version, model_id),
            "vocabulary_size": str(statistics.vocabulary_size),
            "average_length": repr(statistics.average_length),
            "bm25": settings.fingerprint,
        }
        # The vocabulary first: if the run stops here, it disagrees with the old vectors, and the next run writes both.
        words = partial(token_rows, session, tally.words)
        write_vocabulary(session, tables["vocabulary"], words, {"model": BM25_MODEL, "model_id": model_id})
        describe(session, "weigh the words of the documents")
        vocabulary = Vocabulary(tally.words, np.arange(len(tally.words), dtype=np.int32), tally.amounts)
        vectors = weighed(session, counted, WeighWords(settings, vocabulary, statistics, model_id))
        replace_rows(session, side.target, VECTORS, vectors, lineage=lineage, properties=properties)
    return {"rows": statistics.documents, **asdict(statistics), "statuses": tally.statuses}


def _encode_queries(side: _Side, *, model_id: str) -> SideResult:
    session, target = side.session, side.target
    version = side.texts.ref.version(session)
    lineage = _lineage(side.texts, version, model_id)
    learnt = table_properties(session, side.tables["documents"])
    properties = {
        **side.properties(version, model_id),
        "vocabulary_size": learnt["spladelake.vocabulary_size"],
    }
    result = made_unless_current(
        session, {target: lineage}, lambda: _weigh_queries(side, version, lineage, properties),
        force=side.force, step="count the words of the queries", known=SideResult(table=str(target)),
    )  # fmt: skip
    if result["status"] == "skipped":
        set_properties(session, target, properties)
    return result


def _weigh_queries(side: _Side, version: int, lineage: Lineage, properties: dict[str, str]) -> dict[str, Any]:
    """Write the queries' vectors; return the counts."""
    session, count, model_id = side.session, CountWords(side.settings, "occurrences"), properties["model_id"]
    with counted_texts(session, side.texts, version, count) as counted:
        tally = tallied(counted)
        _check_ids(side, tally, version)
        vocabulary = learnt_vocabulary(session, side.tables["vocabulary"], tally.words)
        vectors = weighed(session, counted, WeighWords(side.settings, vocabulary, None, model_id))
        replace_rows(session, side.target, VECTORS, vectors, lineage=lineage, properties=properties)
    unknown = tally.amounts[vocabulary.ids_of(tally.words) < 0]
    return {
        "rows": tally.facts[TEXTS],
        "tokens": tally.facts[TOKENS],
        "unknown_tokens": int(unknown.sum()),
        "statuses": tally.statuses,
    }


def _lineage(texts: TextTable, version: int, made_with: str) -> Lineage:
    """Return the lineage of one side's vectors.

    - made_with: for documents the fingerprint of the settings; for queries the documents' model_id, because other
      documents change the term ids.
    """
    return Lineage(
        "encode_texts",
        {texts.side.name: [str(texts.ref), version]},
        {"model": BM25_MODEL, "made_with": made_with, **texts.settings()},
    )


def _learnt(tally: Tally, settings: Bm25Settings, *, place: TableRef) -> tuple[WordStatistics, str]:
    """Return the documents' statistics, and the model_id: a fingerprint of the statistics and the settings."""
    rows, tokens, size = tally.facts[TEXTS], tally.facts[TOKENS], len(tally.words)
    if not rows:
        found, fix = "there is no document to encode", "Ingest documents, or correct --documents or --where."
        raise DataError(str(place), found, "wanted at least one document", fix)
    if not size:
        found, wanted = "no document has a word besides stop words", "wanted at least one other word"
        raise DataError(str(place), found, wanted, "Correct the texts, or give fewer --stopwords.")
    # Two sums over hashes stand for the list of words and document frequencies.
    sums = vocabulary_sums(tally.words, tally.amounts)
    recipe = [settings.fingerprint, rows, tokens, size, *map(str, sums)]
    model_id = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    return WordStatistics(documents=rows, average_length=tokens / rows, vocabulary_size=size), model_id


def _check_ids(side: _Side, tally: Tally, version: int) -> None:
    """Raise DataError if an id cannot be used or occurs twice."""
    if tally.facts[IDS] != tally.facts[TEXTS]:
        texts = side.texts.newest_texts(side.session, version)
        side.texts.check_ids(texts, reason="BM25 would count repeated texts twice")
