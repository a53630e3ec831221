"""BM25 in the encode job: words counted in Python workers, statistics learnt in Spark, the same tables written.

Every document's weights depend on all documents, so a changed corpus is weighted again as a whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.bm25.settings import (
    BM25_MODEL,
    DEFAULT_B,
    DEFAULT_K1,
    DEFAULT_STEMMER,
    DEFAULT_STOP_WORDS,
    Bm25Settings,
    read_stop_words,
)
from spladelake.config import EncodeTexts
from spladelake.errors import DataError
from spladelake.names import short_name
from spladelake.spark.bm25_worker import CountWords, Statistics, WeighWords
from spladelake.spark.descriptions import describe
from spladelake.spark.schemas import DOCUMENTS, QUERIES, VECTORS
from spladelake.spark.tables import (
    Lake,
    Lineage,
    TableRef,
    is_current,
    replace_rows,
    require,
    set_properties,
    table_properties,
)
from spladelake.spark.texts import SIDES, Side, hashed, texts_of
from spladelake.spark.vocabulary import write_vocabulary

log = logging.getLogger(__name__)

COUNTED = "id string, terms array<string>, counts array<int>, tokens int, text_sha256 string, status string"


@dataclass(frozen=True)
class _Tables:
    """Where the vectors of one name are."""

    lake: Lake
    name: str

    def __getitem__(self, side: str) -> TableRef:
        return self.lake.vectors(self.name, side)


def encode_bm25(session: SparkSession, options: EncodeTexts) -> dict[str, Any]:
    """Weigh the lake's documents, count the words of its queries, or both; what is current is left alone."""
    settings = Bm25Settings(
        k1=DEFAULT_K1 if options.k1 is None else options.k1,
        b=DEFAULT_B if options.b is None else options.b,
        stemmer=options.stemmer or DEFAULT_STEMMER,
        stop_words=read_stop_words(options.stopwords or DEFAULT_STOP_WORDS),
    )
    lake = Lake(options.lake)
    tables = _Tables(lake, short_name(options.vectors or options.model))
    result: dict[str, Any] = {"model": BM25_MODEL}
    if options.side != "queries":
        result["documents"] = _encode_documents(session, tables, settings, force=options.force)
    model_id = _learnt_model(session, tables, settings)
    if options.side != "documents":
        result["queries"] = _encode_queries(session, tables, settings, model_id=model_id, force=options.force)
    sides = [part for part in result.values() if isinstance(part, dict)]
    skipped = all(part["status"] == "skipped" for part in sides)
    return {**result, "model_id": model_id, "status": "skipped" if skipped else "written"}


def _encode_documents(session: SparkSession, tables: _Tables, settings: Bm25Settings, *, force: bool) -> dict[str, Any]:
    source, target = tables.lake.table("documents"), tables["documents"]
    require(session, source, DOCUMENTS, made_by=f"spladelake ingest_texts --lake {tables.lake.root} …")
    version = source.version(session)
    lineage = _lineage(SIDES["documents"], source, version, settings.fingerprint)
    ids = {table: table_properties(session, tables[table]).get("spladelake.model_id") if tables[table].exists(session)
           else None for table in ("documents", "vocabulary")}  # fmt: skip
    whole = ids["documents"] is not None and ids["documents"] == ids["vocabulary"]
    if whole and not force and is_current(session, target, lineage):
        log.info("%s: skipped, the vectors are current", target)
        return {"status": "skipped", "table": str(target)}
    started = time.monotonic()
    describe(session, "count the words of the documents")
    texts = texts_of(source.read(session, version=version), SIDES["documents"])
    counted = word_counts(texts, settings).persist(StorageLevel.DISK_ONLY)
    vocabulary = vocabulary_of(counted).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        statistics, model_id = _learn(counted, vocabulary, settings, place=source)
        properties = {
            "model": BM25_MODEL,
            "model_id": model_id,
            "vocabulary_size": str(statistics.vocabulary_size),
            "average_length": repr(statistics.average_length),
            "source": str(source),
            "source_version": str(version),
            "bm25": settings.fingerprint,
        }
        # The vocabulary first: with a new one and old vectors the two disagree, and the next run does both again.
        ordered = partial(vocabulary.orderBy, "term_id")
        write_vocabulary(session, tables["vocabulary"], ordered, {"model": BM25_MODEL, "model_id": model_id})
        describe(session, "weigh the words of the documents")
        vectors = weighted(counted, vocabulary, WeighWords(settings, statistics, model_id))
        replace_rows(session, target, VECTORS, vectors, lineage=lineage)
        set_properties(session, target, properties)
        statuses = _statuses(counted)
    finally:
        counted.unpersist()
        vocabulary.unpersist()
        describe(session)
    return {
        "status": "written",
        "table": str(target),
        "rows": statistics.documents,
        "seconds": round(time.monotonic() - started, 2),
        **asdict(statistics),
        "statuses": statuses,
    }


def _encode_queries(
    session: SparkSession, tables: _Tables, settings: Bm25Settings, *, model_id: str, force: bool
) -> dict[str, Any]:
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
    if not force and is_current(session, target, lineage):
        log.info("%s: skipped, the vectors are current", target)
        set_properties(session, target, properties)
        return {"status": "skipped", "table": str(target)}
    started = time.monotonic()
    describe(session, "count the words of the queries")
    counted = word_counts(texts_of(source.read(session, version=version), SIDES["queries"]), settings).persist()
    try:
        rows, tokens = _check_ids(counted, place=source)
        vocabulary = tables["vocabulary"].read(session).withColumn("df", F.lit(0).cast("long"))
        vectors = weighted(counted, vocabulary, WeighWords(settings, None, model_id))
        replace_rows(session, target, VECTORS, vectors, lineage=lineage)
        set_properties(session, target, properties)
        statuses = _statuses(counted)
    finally:
        counted.unpersist()
        describe(session)
    known = target.read(session).agg(F.sum(F.expr("aggregate(`values`, 0D, (s, v) -> s + v)")).alias("n")).first()
    assert known is not None
    return {
        "status": "written",
        "table": str(target),
        "rows": rows,
        "seconds": round(time.monotonic() - started, 2),
        "tokens": tokens,
        "unknown_tokens": tokens - int(known["n"] or 0),
        "statuses": statuses,
    }


def counted_queries(session: SparkSession, lake: Lake, name: str, texts: DataFrame) -> DataFrame:
    """`vectors` rows of a few (id, text) rows as queries, by what was learnt from the lake's documents.

    Raises DataError unless the documents were encoded with the default settings.
    """
    settings = Bm25Settings(stop_words=read_stop_words(DEFAULT_STOP_WORDS))
    tables = _Tables(lake, name)
    model_id = _learnt_model(session, tables, settings)
    vocabulary = tables["vocabulary"].read(session).withColumn("df", F.lit(0).cast("long"))
    return weighted(word_counts(hashed(texts), settings), vocabulary, WeighWords(settings, None, model_id))


def _lineage(side: Side, source: TableRef, version: int, made_with: str) -> Lineage:
    """made_with: settings for documents; for queries what was learnt from the documents, which moves term ids."""
    return Lineage(
        "encode_texts",
        {side.name: [str(source), version]},
        {"model": BM25_MODEL, "made_with": made_with, "text_columns": list(side.text_columns)},
    )


def _learnt_model(session: SparkSession, tables: _Tables, settings: Bm25Settings) -> str:
    """model_id of the document vectors that are there; raises DataError without them or under other settings."""
    fix = f"Run encode_texts --lake {tables.lake.root} --model bm25 with these settings for both sides."
    documents = tables["documents"]
    if not documents.exists(session):
        raise DataError(str(documents), "there are no vectors", "a query's words are looked up in the documents'", fix)
    found = table_properties(session, documents)
    if found.get("spladelake.bm25") != settings.fingerprint:
        raise DataError(str(documents), "they were made with other settings", "wanted the same on both sides", fix)
    model_id = found["spladelake.model_id"]
    if table_properties(session, tables["vocabulary"]).get("spladelake.model_id") != model_id:
        raise DataError(str(tables["vocabulary"]), "it is not that of the vectors", "wanted the words' term ids", fix)
    return model_id


def word_counts(texts: DataFrame, settings: Bm25Settings) -> DataFrame:
    """(id, terms, counts, tokens, text_sha256, status) of (id, text, text_sha256, repaired) rows."""
    return texts.mapInArrow(CountWords(settings), COUNTED)


def vocabulary_of(counted: DataFrame) -> DataFrame:
    """(term_id, token, df): every word in the order of its UTF-8 bytes, however the rows lie, and its documents."""
    words = counted.select(F.explode("terms").alias("token")).groupBy("token").agg(F.count("*").alias("df"))
    # One task numbers all words: millions of short rows at most.
    number = F.row_number().over(Window.orderBy("token")) - 1
    return words.select(number.alias("term_id"), "token", "df")


def weighted(counted: DataFrame, vocabulary: DataFrame, function: WeighWords) -> DataFrame:
    """`vectors` rows of counted words: one for every text, with the words that the vocabulary has.

    vocabulary: (term_id, token, df).
    """
    same = ["id", "tokens", "text_sha256", "status"]
    words = counted.select(*same, F.explode_outer(F.arrays_zip("terms", "counts")).alias("word"))
    words = words.select(*same, F.col("word.terms").alias("token"), F.col("word.counts").alias("count"))
    posting = F.when(F.col("term_id").isNotNull(), F.struct("term_id", "count", "df"))
    postings = F.sort_array(F.collect_list(posting)).alias("postings")
    grouped = words.join(vocabulary, "token", "left").groupBy(*same).agg(postings)
    columns = [*same, "postings.term_id", "postings.count", "postings.df"]
    return grouped.select(*columns).mapInArrow(function, VECTORS.struct).select(*VECTORS.column_names)


def _learn(
    counted: DataFrame, vocabulary: DataFrame, settings: Bm25Settings, *, place: TableRef
) -> tuple[Statistics, str]:
    """Statistics of the documents, and the fingerprint of them and the settings: the vectors' model_id."""
    rows, tokens = _check_ids(counted, place=place)
    # Two sums over hashes stand for the list of words and frequencies; they do not depend on the order of rows.
    mark = F.xxhash64("term_id", "token", "df")
    words = vocabulary.agg(
        F.count("*").alias("size"), F.bit_xor(mark).alias("xor"), F.sum(mark.cast("decimal(38,0)")).alias("sum")
    ).first()
    assert words is not None
    if words["size"] == 0:
        raise DataError(str(place), "no document has a word", "BM25 learns from words", "Check texts and stop words.")
    statistics = Statistics(documents=rows, average_length=tokens / rows, vocabulary_size=int(words["size"]))
    recipe = [settings.fingerprint, rows, tokens, words["size"], str(words["xor"]), str(words["sum"])]
    return statistics, hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def _check_ids(counted: DataFrame, *, place: TableRef) -> tuple[int, int]:
    """Number of texts and of all their words; raises DataError unless every id stands once."""
    row = counted.agg(
        F.count("*").alias("rows"), F.count_distinct("id").alias("ids"), F.sum("tokens").alias("tokens")
    ).first()
    assert row is not None
    if row["ids"] != row["rows"]:
        raise DataError(
            str(place),
            f"it has {row['rows']:,} rows but {row['ids']:,} different ids",
            "every id must stand once: repeated texts would count twice",
            "Remove the repeated rows.",
        )
    return int(row["rows"]), int(row["tokens"] or 0)


def _statuses(counted: DataFrame) -> dict[str, int]:
    return {row["status"]: row["count"] for row in counted.groupBy("status").count().orderBy("status").collect()}
