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
from spladelake.spark.encode.bm25_dry_run import forecast_bm25
from spladelake.spark.encode.bm25_packs import (
    Tally,
    counted_texts,
    learnt_vocabulary,
    tallied,
    weighed,
)
from spladelake.spark.encode.bm25_question import learnt_model, learnt_tables
from spladelake.spark.encode.bm25_worker import IDS, TEXTS, TOKENS, CountWords, Vocabulary, WeighWords, WordStatistics
from spladelake.spark.encode.texts import SIDES, Side, texts_of
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.properties import set_properties, table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES, VECTORS
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
        return _forecast(session, lake, settings, side=options.side)
    tables = _Bm25Tables(lake, short_name(options.vectors or options.model))
    result: dict[str, Any] = {"model": BM25_MODEL}
    if options.side != "queries":
        result["documents"] = _encode_documents(session, tables, settings, force=options.force)
    model_id = learnt_model(learnt_tables(session, lake, tables.name), settings)
    if options.side != "documents":
        result["queries"] = _encode_queries(session, tables, settings, model_id=model_id, force=options.force)
    sides = [part for part in result.values() if isinstance(part, dict)]
    skipped = all(part["status"] == "skipped" for part in sides)
    return cast("EncodeResult", {**result, "model_id": model_id, "status": "skipped" if skipped else "written"})


def _forecast(session: SparkSession, lake: Lake, settings: Bm25Settings, *, side: str) -> EncodeResult:
    """Return the forecast of each side, and write nothing."""
    result: dict[str, Any] = {"model": BM25_MODEL, "status": "forecast"}
    for name, schema in (("documents", DOCUMENTS), ("queries", QUERIES)):
        if side in (name, "both"):
            table = require(session, lake.table(name), schema, made_by=f"spladelake ingest_texts --lake {lake.root} …")
            result[name] = forecast_bm25(session, texts_of(table, SIDES[name]), settings, SIDES[name])
    return cast("EncodeResult", result)


def _encode_documents(session: SparkSession, tables: _Bm25Tables, settings: Bm25Settings, *, force: bool) -> SideResult:
    source, target = tables.lake.table("documents"), tables["documents"]
    require(session, source, DOCUMENTS, made_by=f"spladelake ingest_texts --lake {tables.lake.root} …")
    version = source.version(session)
    lineage = _lineage(SIDES["documents"], source, version, settings.fingerprint)
    ids = {table: table_properties(session, tables[table]).get("spladelake.model_id") if tables[table].exists(session)
           else None for table in ("documents", "vocabulary")}  # fmt: skip
    whole = ids["documents"] is not None and ids["documents"] == ids["vocabulary"]
    return made_unless_current(
        session, {target: lineage}, lambda: _weigh_documents(session, tables, settings, version, lineage),
        force=force or not whole, step="count the words of the documents", known=SideResult(table=str(target)),
    )  # fmt: skip


def _weigh_documents(
    session: SparkSession, tables: _Bm25Tables, settings: Bm25Settings, version: int, lineage: Lineage
) -> dict[str, Any]:
    """Write the vocabulary and the documents' vectors; return the counts."""
    source, count = tables.lake.table("documents"), CountWords(settings, "texts")
    with counted_texts(session, source, version, SIDES["documents"], count) as counted:
        tally = tallied(counted)
        statistics, model_id = _learnt(tally, settings, place=source)
        properties = {
            "model": BM25_MODEL,
            "model_id": model_id,
            "vocabulary_size": str(statistics.vocabulary_size),
            "average_length": repr(statistics.average_length),
            "source": str(source),
            "source_version": str(version),
            "bm25": settings.fingerprint,
        }
        # The vocabulary first: if the run stops here, it disagrees with the old vectors, and the next run writes both.
        words = partial(token_rows, session, tally.words)
        write_vocabulary(session, tables["vocabulary"], words, {"model": BM25_MODEL, "model_id": model_id})
        describe(session, "weigh the words of the documents")
        vocabulary = Vocabulary(tally.words, np.arange(len(tally.words), dtype=np.int32), tally.amounts)
        vectors = weighed(session, counted, WeighWords(settings, vocabulary, statistics, model_id))
        replace_rows(session, tables["documents"], VECTORS, vectors, lineage=lineage, properties=properties)
    return {"rows": statistics.documents, **asdict(statistics), "statuses": tally.statuses}


def _encode_queries(
    session: SparkSession, tables: _Bm25Tables, settings: Bm25Settings, *, model_id: str, force: bool
) -> SideResult:
    source, target = tables.lake.table("queries"), tables["queries"]
    require(session, source, QUERIES, made_by=f"spladelake ingest_texts --lake {tables.lake.root} …")
    version = source.version(session)
    lineage = _lineage(SIDES["queries"], source, version, model_id)
    learnt = table_properties(session, tables["documents"])
    properties = {
        "model": BM25_MODEL,
        "model_id": model_id,
        "vocabulary_size": learnt["spladelake.vocabulary_size"],
        "source": str(source),
        "source_version": str(version),
    }
    result = made_unless_current(
        session, {target: lineage},
        lambda: _weigh_queries(session, tables, settings, version, lineage, properties),
        force=force, step="count the words of the queries", known=SideResult(table=str(target)),
    )  # fmt: skip
    if result["status"] == "skipped":
        set_properties(session, target, properties)
    return result


def _weigh_queries(
    session: SparkSession, tables: _Bm25Tables, settings: Bm25Settings, version: int, lineage: Lineage,
    properties: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Write the queries' vectors; return the counts."""
    source, count, model_id = tables.lake.table("queries"), CountWords(settings, "occurrences"), properties["model_id"]
    with counted_texts(session, source, version, SIDES["queries"], count) as counted:
        tally = tallied(counted)
        _check_ids(tally, place=source)
        vocabulary = learnt_vocabulary(session, tables["vocabulary"], tally.words)
        vectors = weighed(session, counted, WeighWords(settings, vocabulary, None, model_id))
        replace_rows(session, tables["queries"], VECTORS, vectors, lineage=lineage, properties=properties)
    unknown = tally.amounts[vocabulary.ids_of(tally.words) < 0]
    return {
        "rows": tally.facts[TEXTS],
        "tokens": tally.facts[TOKENS],
        "unknown_tokens": int(unknown.sum()),
        "statuses": tally.statuses,
    }


def _lineage(side: Side, source: TableRef, version: int, made_with: str) -> Lineage:
    """Return the lineage of one side's vectors.

    - made_with: for documents the fingerprint of the settings; for queries the documents' model_id, because other
      documents change the term ids.
    """
    return Lineage(
        "encode_texts",
        {side.name: [str(source), version]},
        {"model": BM25_MODEL, "made_with": made_with, "text_columns": list(side.text_columns)},
    )


def _learnt(tally: Tally, settings: Bm25Settings, *, place: TableRef) -> tuple[WordStatistics, str]:
    """Return the documents' statistics, and the model_id: a fingerprint of the statistics and the settings."""
    _check_ids(tally, place=place)
    rows, tokens, size = tally.facts[TEXTS], tally.facts[TOKENS], len(tally.words)
    if not size:
        found, wanted = "no document has a word besides stop words", "wanted at least one other word"
        raise DataError(str(place), found, wanted, "Correct the texts, or give fewer --stopwords.")
    # Two sums over hashes stand for the list of words and document frequencies.
    sums = vocabulary_sums(tally.words, tally.amounts)
    recipe = [settings.fingerprint, rows, tokens, size, *map(str, sums)]
    model_id = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    return WordStatistics(documents=rows, average_length=tokens / rows, vocabulary_size=size), model_id


def _check_ids(tally: Tally, *, place: TableRef) -> None:
    """Raise DataError if an id occurs twice."""
    rows, ids = tally.facts[TEXTS], tally.facts[IDS]
    if ids != rows:
        raise DataError(
            str(place),
            f"the table has {rows:,} rows but {ids:,} different ids",
            "wanted each id once, because BM25 would count repeated texts twice",
            "Remove the repeated rows.",
        )
