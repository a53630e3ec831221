"""The mining job: pairs of judged positives and hard negatives from a run, stored as ids."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.training import MinePairs
from spladelake.errors import DataError, UsageError
from spladelake.names import amount, example
from spladelake.results import MineResult
from spladelake.spark.encode.passages.texts import END, START, with_texts
from spladelake.spark.encode.texts import SIDES, texts_of
from spladelake.spark.evaluate.run_checks import check_runs
from spladelake.spark.rerank.passages import Listed, listed_in
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import BEST_PASSAGE, DOCUMENTS, JUDGEMENTS, QUERIES, RUNS
from spladelake.spark.tables.skeleton import Inputs, Needed, made_unless_current, newest_inputs
from spladelake.spark.tables.suggestions import made_by
from spladelake.spark.tables.training_schemas import PAIRS, PARTS
from spladelake.spark.tables.write import replace_rows
from spladelake.spark.train.pair_texts import negative_columns, replace_pairs

log = logging.getLogger(__name__)

# Hexadecimal digits of the hash that assigns a query to a part: 8 digits are shares in steps of 2^-32.
HASH_DIGITS = 8
HAS_WORDS = "size(words) > 0"
# Separators of words. Marks belong to words, as in BM25, but in scripts without spaces they separate words: otherwise
# a whole sentence would be one word, and near duplicates would share none.
NO_WORD = r"[^\p{L}\p{N}[\p{M}&&[^\p{IsThai}\p{IsLao}\p{IsMyanmar}\p{IsKhmer}]]]+"


def mine_pairs(session: SparkSession, options: MinePairs) -> MineResult:
    """Divide the judged queries into the parts train, dev and test, and mine pairs for the part train.

    Raises DataError if the run is missing or names unknown documents, if no query is in the part train, or if no
    positive has a negative.
    """
    lake = Lake(options.lake)
    tables = {name: lake.table(name) for name in ("documents", "queries", "judgements", "runs")}
    schemas = {"documents": DOCUMENTS, "queries": QUERIES, "judgements": JUDGEMENTS, "runs": RUNS}
    makers = {name: made_by("ingest_texts", lake, **{name: "FILE"}) for name in schemas}
    makers |= {"runs": made_by("retrieve_run", lake, ranking=options.run)}
    inputs = newest_inputs(session, {name: Needed(ref, schemas[name], makers[name]) for name, ref in tables.items()})
    run = inputs.rows["runs"].where(F.col("run_id") == options.run)
    made_from = check_runs(run, [options.run], table=tables["runs"])
    listed = listed_in(run)
    _refuse_passages(listed, options, place=str(tables["runs"]))
    by_passage = listed == "best" and options.passages == "best"
    if not by_passage:
        run = run.drop(*BEST_PASSAGE)
    settings = options.settings("training_set", *([] if by_passage else ["passages"]))
    texts = inputs.lineage(("documents", "queries", "judgements"))
    lineage = Lineage("mine_pairs", {**texts, "run": made_from}, settings)
    targets = {name: lake.training(options.training_set, name) for name in ("pairs", "parts")}
    result: MineResult = {"training_set": options.training_set, "run": options.run, "table": str(targets["pairs"])}
    with ExitStack() as kept:
        return made_unless_current(
            session, dict.fromkeys(targets.values(), lineage),
            lambda: _write(session, inputs, run, targets, lineage, options, kept),
            force=options.force, step=f"mine pairs from {options.run}", known=result,
        )  # fmt: skip


def _write(
    session: SparkSession,
    inputs: Inputs,
    run: DataFrame,
    targets: dict[str, TableRef],
    lineage: Lineage,
    options: MinePairs,
    kept: ExitStack,
) -> dict[str, Any]:
    """Mine the pairs, write both tables, and return the counts."""
    at, tables = inputs.rows, inputs.refs
    judged = at["judgements"].where(F.col("relevance") >= options.relevance_level)
    parts = query_parts(at["queries"], judged, dev=options.dev_share, test=options.test_share, seed=options.seed)
    parts = kept_on_disk(parts, kept)
    counts = {row["part"]: row["count"] for row in parts.groupBy("part").count().collect()}
    if not counts.get("train"):
        raise _no_training_query(tables["judgements"], sum(counts.values()), options)
    _check_documents(run, at["documents"], tables, options)
    train = parts.where(F.col("part") == "train").select("query_id")
    judged_train = judged.join(train, "query_id", "left_semi")
    positives = _positives(judged_train, run, at["documents"], options)
    candidates = _candidates(run.join(train, "query_id", "left_semi"), judged, at["documents"], options)
    pairs = kept_on_disk(mined(positives, candidates, options), kept)
    found = pairs.agg(
        F.count("*").alias("positives"),
        F.count_if(F.size("neg_ids") == 0).alias("without_negatives"),
        F.count_if(F.size("neg_ids").between(1, options.negatives - 1)).alias("with_fewer_negatives"),
        F.coalesce(F.sum(F.size("neg_ids")), F.lit(0)).alias("negatives"),
    ).first()
    assert found is not None
    if found["positives"] == found["without_negatives"]:
        raise _no_negative(tables, found["positives"], options)
    ready = pairs.where(F.size("neg_ids") >= 1).orderBy("query_id", "pos_id")
    replace_rows(session, targets["parts"], PARTS, parts.orderBy("query_id"), lineage=lineage)
    replace_pairs(session, targets["pairs"], PAIRS, ready, lineage=lineage)
    return {
        "rows": found["positives"] - found["without_negatives"],
        **found.asDict(),
        "positives_without_text": judged_train.join(words_of(at["documents"]), "doc_id", "left_anti").count(),
        **{f"queries_{part}": counts.get(part, 0) for part in ("train", "dev", "test")},
    }


def _no_training_query(place: TableRef, queries: int, options: MinePairs) -> DataError:
    """Return the error for an empty part 'train'. queries: number of queries with a text and a relevant document."""
    relevant = f"a document of relevance {options.relevance_level} or more"
    if not queries:
        found, wanted = f"no query has both a text and {relevant}", "wanted at least one such query"
        fix = "Lower --relevance-level, or ingest queries and judgements that use the same ids."
        return DataError(str(place), found, wanted, fix)
    all_of = "the only query" if queries == 1 else f"none of the {queries:,} queries"
    found = f"{all_of} with a text and {relevant} is {'not ' if queries == 1 else ''}in the part 'train'"
    fix = "Lower --dev-share and --test-share, or ingest more judged queries."
    return DataError(str(place), found, "wanted at least one query in the part 'train'", fix)


def _no_negative(tables: Mapping[str, TableRef], positives: int, options: MinePairs) -> DataError:
    """Return the error for positives without any negative, or for a part 'train' without positives.

    - positives: number of positives.
    """
    if not positives:
        found, wanted = "no document that is relevant to a query of the part 'train' has a text", "wanted at least one"
        fix = f"Ingest the documents whose ids are in {tables['judgements']}."
        return DataError(str(tables["documents"]), found, wanted, fix)
    found = f"run {options.run!r} gives no negative for any positive (positives: {positives:,})"
    fix = (
        "Raise --max-rank or --max-score, lower --min-rank, --min-score, --margin or --relative-margin, or choose "
        "another --run."
    )
    return DataError(str(tables["runs"]), found, "wanted a negative for at least one positive", fix)


def query_parts(queries: DataFrame, judged: DataFrame, *, dev: float, test: float, seed: int) -> DataFrame:
    """Return (query_id, part) of every query with a text and a judgement.

    A hash of the text in lower case with single spaces decides the part, so equal questions are in one part.

    - queries: (query_id, text).
    - judged: rows with the query_id of every judged query.
    - dev, test: shares of these parts, 0 to 1.
    - seed: changes the division.
    """
    known = queries.join(judged.select("query_id").distinct(), "query_id", "left_semi")
    plain = F.regexp_replace(F.trim(F.lower("text")), r"\s+", " ")
    digits = F.substring(F.sha2(F.concat(F.lit(f"{seed} "), plain), 256), 1, HASH_DIGITS)
    drawn = F.conv(digits, 16, 10).cast("bigint") / float(16**HASH_DIGITS)
    part = F.when(drawn < test, "test").when(drawn < test + dev, "dev").otherwise("train")
    return known.where(plain != "").select("query_id", part.alias("part"))


def words_of(documents: DataFrame) -> DataFrame:
    """Return (doc_id, words) of the documents with words: hashes of the distinct words of title and text.

    A word is a run of letters, digits and marks, in lower case.
    """
    texts = texts_of(documents, SIDES["documents"])
    return texts.select(F.col("id").alias("doc_id"), _words("text").alias("words")).where(HAS_WORDS)


def _words(text: str) -> Column:
    found = F.split(F.lower(F.coalesce(text, F.lit(""))), NO_WORD)
    return F.array_distinct(F.transform(F.filter(found, lambda word: word != ""), lambda word: F.xxhash64(word)))


def _with_words(rows: DataFrame, documents: DataFrame) -> DataFrame:
    """Return rows with the words of their documents, or of the passages that they name; without rows without words."""
    if BEST_PASSAGE[0] not in rows.columns:
        return rows.join(words_of(documents), "doc_id")
    found = with_texts(rows, documents).withColumn("words", _words("document"))
    return found.drop("document", "document_hash", "found").where(HAS_WORDS)


def _positives(judged: DataFrame, run: DataFrame, documents: DataFrame, options: MinePairs) -> DataFrame:
    """Return (query_id, pos_id, score, words, wanted, …) of the positives with a text.

    `score` is the score in the run, null if the run does not list the document. `wanted` marks the positives to mine
    for; the others still exclude near duplicates. If the run names passages, so do the rows.
    """
    rows = judged.select("query_id", "doc_id", "relevance").dropDuplicates(["query_id", "doc_id"])
    rows = rows.join(run.select("query_id", "doc_id", "score", *_places(run)), ["query_id", "doc_id"], "left")
    rows = _with_words(rows, documents)
    order = Window.partitionBy("query_id").orderBy(F.desc("relevance"), F.asc("doc_id"))
    place = F.lit(0) if options.positives is None else F.row_number().over(order)
    rows = rows.withColumn("wanted", place <= (options.positives or 0))
    return rows.select("query_id", F.col("doc_id").alias("pos_id"), "score", "words", "wanted", *_places(run))


def _places(run: DataFrame) -> list[str]:
    """Return the columns of a run that name the best passages; none if it is made of whole texts."""
    return [name for name in BEST_PASSAGE if name in run.columns]


def _candidates(run: DataFrame, judged: DataFrame, documents: DataFrame, options: MinePairs) -> DataFrame:
    """Return (query_id, doc_id, score, place, words, …) of documents in the ranges that are not judged relevant.

    The ranges are those of ranks and scores. If the run names passages, so do the rows.
    """
    score = F.col("score")
    rows = run.where(F.col("rank").between(options.min_rank, options.max_rank))
    if options.min_score is not None:
        rows = rows.where(score >= options.min_score)
    if options.max_score is not None:
        rows = rows.where(score <= options.max_score)
    rows = rows.join(judged.select("query_id", "doc_id"), ["query_id", "doc_id"], "left_anti")
    # A hash makes the choice depend on seed and ids alone, not on the partitions of the rows.
    drawn = F.xxhash64(F.lit(options.seed), F.col("query_id"), F.col("doc_id"))
    place = F.col("rank").cast("bigint") if options.choose == "top" else drawn
    return _with_words(rows.select("query_id", "doc_id", "score", place.alias("place"), *_places(run)), documents)


def mined(positives: DataFrame, candidates: DataFrame, options: MinePairs) -> DataFrame:
    """Return (query_id, pos_id, neg_ids, …) of every wanted positive. neg_ids may be empty.

    A candidate that is a near duplicate of any positive of its query, or of an earlier negative, is left out.

    - positives: (query_id, pos_id, score, words, wanted, …).
    - candidates: (query_id, doc_id, score, place, words, …). Negatives are chosen by ascending place, then doc_id.

    If both name passages, the returned rows have their places.
    """
    places = _places(candidates)
    each = F.struct("place", "doc_id", "score", "words", *places)
    listed = candidates.groupBy("query_id").agg(F.sort_array(F.collect_list(each)).alias("listed"))
    relevant = positives.groupBy("query_id").agg(F.collect_list("words").alias("relevant"))
    limit = options.near_duplicate
    near = similarity("relevant_words", "c.words")
    far = F.expr(f"filter(listed, c -> NOT exists(relevant, relevant_words -> {near} >= {limit!r}D))")
    by_query = listed.join(relevant, "query_id").select("query_id", far.alias("listed"))
    rows = positives.where("wanted").join(by_query, "query_id", "left")
    enough = F.filter("listed", lambda c: _far_below(c["score"], options))
    chosen = rows.select("query_id", "pos_id", enough.alias("listed"), *places)
    first = chosen.withColumn("first", F.expr(_first_different(options.negatives, limit)))
    at = [F.col(START).alias("pos_start"), F.col(END).alias("pos_end")] if places else []
    negatives = negative_columns("first", places=bool(places))
    return first.select("query_id", "pos_id", *at, *negatives)


def _far_below(score: Column, options: MinePairs) -> Column:
    """Whether a candidate scores below the positive by the margins. With a margin, the run must list the positive."""
    wanted = F.lit(True)
    if options.margin is not None:
        wanted = wanted & (F.col("score") - score >= options.margin)
    if options.relative_margin is not None:
        wanted = wanted & (score <= F.col("score") * (1 - options.relative_margin))
    return F.coalesce(wanted, F.lit(False))


def similarity(one: str, other: str) -> str:
    """Return SQL of the Jaccard index of two non-empty sets of words: the size of intersection over union."""
    shared = f"size(array_intersect({one}, {other}))"
    return f"({shared} / (size({one}) + size({other}) - {shared}))"


def _first_different(count: int, limit: float) -> str:
    """Return SQL of the first `count` candidates in `listed`, without near duplicates of earlier ones."""
    near = f"{similarity('k.words', 'c.words')} >= {limit!r}D"
    # The start value is an empty slice of the list itself, so it has the list's type.
    return (
        f"aggregate(listed, slice(listed, 1, 0), (kept, c) -> "
        f"CASE WHEN size(kept) >= {count} OR exists(kept, k -> {near}) THEN kept ELSE concat(kept, array(c)) END)"
    )


def _check_documents(run: DataFrame, documents: DataFrame, tables: Mapping[str, TableRef], options: MinePairs) -> None:
    """Raise DataError if the run ranks documents that the lake does not have: mining and training need their texts."""
    near = run.where(F.col("rank").between(options.min_rank, options.max_rank))
    unknown = near.select("query_id", "doc_id").join(documents.select("doc_id"), "doc_id", "left_anti")
    row = unknown.agg(F.count("*").alias("rows"), F.min(F.struct("query_id", "doc_id")).alias("first")).first()
    assert row is not None
    if row["rows"]:
        query_id, doc_id = row["first"]
        raise DataError(
            str(tables["runs"]),
            f"run {options.run!r} has {amount(row['rows'], 'row')} whose document is not in the lake "
            + example(row["rows"], f"{doc_id!r} for query {query_id!r}"),
            f"wanted all documents of the run in {tables['documents']}",
            "Ingest the missing texts, or mine from a run over the documents of this lake.",
        )


def _refuse_passages(listed: Listed, options: MinePairs, *, place: str) -> None:
    """Raise UsageError if the run lists passages, because judgements are of documents."""
    if listed == "all":
        wanted = "wanted a run of documents"
        fix = "Make one with retrieve_run --aggregate max, which ranks documents by their best passages."
        raise UsageError(place, f"the run {options.run!r} lists passages", wanted, fix)
