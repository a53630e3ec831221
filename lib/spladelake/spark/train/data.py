"""Write pairs and texts of a lake as the Parquet shards that `spladelake.training` reads. Each text is written once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.training import TrainModel
from spladelake.errors import DataError, UsageError
from spladelake.names import amount, example
from spladelake.spark.encode.passages.texts import with_texts
from spladelake.spark.encode.texts import SIDES, texts_of
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.train.pair_texts import negatives, positive

# The documents of the dev part include the run's top documents of each dev query, down to this rank.
DEV_RANKS = 100


@dataclass(frozen=True)
class Sources:
    """The inputs of the training data.

    - pairs: rows of `scored_pairs`, or of `pairs` if the loss is ranking.
    - place: the table of the pairs, for messages.
    - queries, documents, judgements: rows of these tables; judgements is None if there is no dev part.
    - dev: (query_id) of the dev part, None without one.
    - run: (query_id, doc_id, rank) of the run that the pairs were mined from, None if it is unknown.
    - level: smallest relevance grade that counts as relevant.
    """

    pairs: DataFrame
    place: TableRef
    queries: DataFrame
    documents: DataFrame
    judgements: DataFrame | None
    dev: DataFrame | None
    run: DataFrame | None
    level: int


def write_training_data(sources: Sources, folder: Path, options: TrainModel) -> dict[str, int]:
    """Write the shards. Return the numbers of pairs, of texts, and of pairs left out for having too few negatives.

    Raises DataError if an id has no text, a score is not a number, or no pair is left. Raises UsageError if the
    executors wrote to another disk than the driver's.
    """
    scored = options.loss != "ranking"
    most = sources.pairs.agg(F.max(F.size("neg_ids")).alias("most")).first()
    count = options.negatives or (most["most"] if most else None) or 0
    whole = sources.pairs.where(F.size("neg_ids") >= count) if count else sources.pairs.limit(0)
    whole = whole.persist(StorageLevel.DISK_ONLY)
    try:
        counts = {"pairs": whole.count()}
        counts["with_fewer_negatives"] = sources.pairs.count() - counts["pairs"]
        if not counts["pairs"]:
            raise _too_few_negatives(sources.place, counts["with_fewer_negatives"], count)
        if scored:
            _check_scores(whole, sources.place)
        each = whole.select("query_id", _texts(whole, count).alias("texts"))
        queries = _numbered(each.select("query_id"), "query_id")
        documents = _numbered(each.select(F.explode("texts").alias("text")), "text")
        for name, texts in (
            ("queries", _texts_of_queries(queries, sources.queries)),
            ("documents", _texts_of_documents(documents, sources.documents)),
        ):
            counts[name] = _write_texts(texts, folder / name, place=sources.place)
        _write(_rows(whole, queries, documents, count, options), folder / "pairs", "query", "documents")
        for name in ("queries", "documents", "pairs"):
            check_here(folder / name, rows=counts[name])
    finally:
        whole.unpersist()
    if sources.dev is not None and sources.judgements is not None:
        with ExitStack() as kept:
            counts["dev_queries"] = _write_dev(sources, sources.dev, sources.judgements, folder, options, kept)
    return counts


def _too_few_negatives(place: TableRef, pairs: int, negatives: int) -> DataError:
    """Return the error for a training set in which no pair has enough negatives.

    - pairs: number of pairs.
    - negatives: number of negatives that each pair needs, 0 if no pair has one.
    """
    if not pairs:
        fix = "Run mine_pairs again with --force, then score_pairs (not needed for --loss ranking)."
        return DataError(str(place), "the table has no pairs", "wanted at least one pair", fix)
    found = f"no pair has {max(1, negatives)} or more negatives (pairs: {pairs:,})"
    fix = f"Lower --negatives, or mine the pairs again with mine_pairs --negatives {max(1, negatives)}."
    return DataError(str(place), found, "wanted at least one pair with that many negatives", fix)


def _check_scores(pairs: DataFrame, place: TableRef) -> None:
    """Raise DataError if a score or margin is not a number, or if all margins are equal."""

    def bad(column: Column) -> Column:
        return column.isNull() | F.isnan(column) | (F.abs(column) == float("inf"))

    broken = bad(F.col("pos_score"))
    for name in ("neg_scores", "margins"):
        wrong_size = F.coalesce(F.size(name), F.lit(-1)) != F.size("neg_ids")
        broken = broken | wrong_size | F.coalesce(F.exists(name, bad), F.lit(True))
    row = pairs.agg(
        F.count_if(broken).alias("broken"),
        F.min(F.when(broken, F.struct("query_id", "pos_id"))).alias("first"),
        F.min(F.array_min("margins")).alias("least"),
        F.max(F.array_max("margins")).alias("most"),
    ).first()
    assert row is not None
    if row["broken"]:
        query_id, pos_id = row["first"]
        raise DataError(
            str(place),
            f"{amount(row['broken'], 'pair has', 'pairs have')} a score or margin that is missing or not finite "
            + example(row["broken"], f"query {query_id!r} with document {pos_id!r}"),
            "wanted finite numbers",
            "Run score_pairs again with --force. If the error repeats, use other --teachers.",
        )
    if row["least"] == row["most"]:
        raise DataError(
            str(place),
            f"every margin is {row['least']:g}",
            "wanted margins that differ, because a model learns nothing from equal margins",
            "Run score_pairs with other --teachers, or train with --loss ranking, which needs no teacher.",
        )


def _texts(pairs: DataFrame, count: int) -> Column:
    """Return the positive and the first negatives of each pair, in the form of `pair_texts.positive`."""
    return F.concat(F.array(positive(pairs)), F.slice(negatives(pairs), 1, count))


def _numbered(ids: DataFrame, column: str) -> DataFrame:
    """Return (id, row): the distinct ids, sorted and numbered from 0. The id of a text of pairs is a struct."""
    order = Window.orderBy("id")
    distinct = ids.select(F.col(column).alias("id")).distinct()
    return distinct.select("id", (F.row_number().over(order) - 1).cast("bigint").alias("row"))


def _texts_of_queries(ids: DataFrame, queries: DataFrame) -> DataFrame:
    """Return (id, row, text) of numbered queries. text is null if the table lacks the query."""
    texts = texts_of(queries, SIDES["queries"]).select("id", F.coalesce("text", F.lit("")).alias("text"))
    return ids.join(texts, "id", "left")


def _texts_of_documents(ids: DataFrame, documents: DataFrame) -> DataFrame:
    """Return (id, row, text) of numbered texts of pairs. text is null if the table lacks the document."""
    text = F.when(F.col("found"), F.coalesce("document", F.lit(""))).alias("text")
    return with_texts(ids.select("id.*", "row"), documents).select(F.col("doc_id").alias("id"), "row", text)


def _write_texts(joined: DataFrame, folder: Path, *, place: TableRef) -> int:
    """Write (id, row, text) of texts and return their number. Raises DataError if an id has no text."""
    absent = F.col("text").isNull()
    row = joined.agg(
        F.count("*").alias("rows"),
        F.count_if(absent).alias("absent"),
        F.min(F.when(absent, F.col("id"))).alias("first"),
    ).first()
    assert row is not None
    if row["absent"]:
        kind, absent_of = SIDES[folder.name].kind, "of the pairs"
        lacking = amount(row["absent"], f"{kind} {absent_of} is", f"{folder.name} {absent_of} are")
        raise DataError(
            str(place),
            f"{lacking} not in the table {folder.name!r} {example(row['absent'], repr(row['first']))}",
            f"wanted all {folder.name} of the pairs in that table",
            f"Ingest the missing {folder.name}, or run mine_pairs and score_pairs again.",
        )
    _write(joined.select("row", "text"), folder, "row")
    return int(row["rows"])


def _rows(pairs: DataFrame, queries: DataFrame, documents: DataFrame, count: int, options: TrainModel) -> DataFrame:
    """Return (query, documents, label) of every pair, as row numbers. The ranking loss has no label."""
    margins = F.slice("margins", 1, count)
    if options.margin_floor is not None:
        floor = F.lit(float(options.margin_floor))
        margins = F.transform(margins, lambda margin: F.greatest(margin, floor))
    labels = {
        "margin-mse": margins,
        "kl-divergence": F.concat(F.array("pos_score"), F.slice("neg_scores", 1, count)),
        "ranking": F.lit(None).cast("array<double>"),
    }
    # Every row gets its own key, because several rows may have the same query and positive.
    keyed = pairs.select("query_id", _texts(pairs, count).alias("texts"), labels[options.loss].alias("label"))
    keyed = keyed.withColumn("key", F.monotonically_increasing_id())
    each = keyed.select("key", "query_id", "label", F.posexplode("texts").alias("place", "id"))
    found = (
        each.join(documents, "id")
        .groupBy("key")
        .agg(
            F.first("query_id").alias("query_id"),
            F.first("label").alias("label"),
            F.sort_array(F.collect_list(F.struct("place", "row"))).alias("numbers"),
        )
    )
    rows = found.join(queries.withColumnsRenamed({"id": "query_id", "row": "query"}), "query_id")
    rows = rows.select("query", F.col("numbers.row").alias("documents"), "label")
    return rows.drop("label") if options.loss == "ranking" else rows


def _write_dev(
    sources: Sources, dev: DataFrame, judgements: DataFrame, folder: Path, options: TrainModel, kept: ExitStack
) -> int:
    """Write a sample of the dev part: queries, their judgements, and the documents to search. Return the query count.

    Judged documents come first, then the top documents of the run, then others in the order of a hash.
    """
    judged = judgements.join(dev, "query_id", "left_semi").withColumn(
        "relevance", F.greatest(F.lit(0), F.col("relevance") - (sources.level - 1))
    )
    relevant = judged.where("relevance > 0").select("query_id").distinct()
    ids = kept_on_disk(relevant.orderBy(F.xxhash64("query_id"), "query_id").limit(options.dev_queries), kept)
    queries = texts_of(sources.queries, SIDES["queries"]).join(
        ids.withColumnRenamed("query_id", "id"), "id", "left_semi"
    )
    judged = judged.join(ids, "query_id", "left_semi")
    first = judged.select("doc_id", F.lit(0).alias("kind"))
    if sources.run is not None:
        near = sources.run.where(F.col("rank") <= DEV_RANKS).join(ids, "query_id", "left_semi")
        first = first.unionByName(near.select("doc_id", F.lit(1).alias("kind")))
    kinds = first.groupBy("doc_id").agg(F.min("kind").alias("kind")).withColumnRenamed("doc_id", "id")
    documents = texts_of(sources.documents, SIDES["documents"]).join(kinds, "id", "left")
    order = (F.coalesce("kind", F.lit(2)), F.xxhash64("id"), F.col("id"))
    documents = documents.orderBy(*order).limit(options.dev_documents)
    for name, texts in (("dev_queries", queries), ("dev_documents", documents)):
        _write(texts.select("id", F.coalesce("text", F.lit("")).alias("text")), folder / name, "id")
    _write(judged.select("query_id", "doc_id", "relevance"), folder / "dev_judgements", "query_id", "doc_id")
    return ids.count()


def _write(rows: DataFrame, folder: Path, *order: str) -> None:
    """Write Parquet files that hold the rows in order, if the files are read by name."""
    rows.orderBy(*order).write.mode("overwrite").parquet(f"file://{folder}")


def check_here(folder: Path, *, rows: int) -> None:
    """Raise UsageError unless the driver sees all rows: executors may have written to a disk of their own."""
    found = sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
    if found != rows:
        raise UsageError(
            "--output",
            f"the driver sees only {found:,} of the {rows:,} rows that Spark's executors wrote to {folder}",
            "wanted one folder that the driver, the executors and the training processes share",
            "Choose an --output on storage that all machines share, or run the job on one machine.",
        )
