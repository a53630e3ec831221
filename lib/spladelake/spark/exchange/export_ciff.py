"""Export of a whole collection as one CIFF file: Spark inverts the postings, and the driver writes them by term."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.exchange import CiffHeader, DocRecord, Quantiser, write_ciff
from spladelake.spark.exchange.export_plan import Export, numbered
from spladelake.spark.exchange.worker import LENGTH_DDL, MESSAGE_DDL, ImpactSums, PostingsMessages
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables import storage
from spladelake.spark.tables.driver_rows import frame_of

FILE = "index.ciff"


def write_ciff_file(export: Export, folder: str) -> None:
    """Write the file into a folder. Documents are numbered in the order of their ids."""
    quantiser = export.quantiser
    assert quantiser is not None
    rows = numbered(export.rows.select("id", "indices", "values")).persist()
    messages = _messages(export, rows, quantiser).persist()
    lengths = map_arrow(rows.select("id", "values"), ImpactSums(quantiser), LENGTH_DDL)
    documents = rows.select("id", "place").join(lengths, "id").orderBy("place").persist()
    try:
        totals = documents.agg(F.count("*").alias("n"), F.coalesce(F.sum("length"), F.lit(0)).alias("tokens")).first()
        assert totals is not None
        header = CiffHeader(
            messages.count(), totals["n"], totals["tokens"], f"weights in units of {quantiser.step:.9g}"
        )
        with tempfile.TemporaryDirectory(prefix="spladelake-export-") as temporary:
            local = Path(temporary) / FILE
            with local.open("wb") as file:
                write_ciff(file, header, _bytes(messages), _records(documents))
            storage.upload(export.session, local, f"{folder}/{FILE}")
    finally:
        for frame in (rows, messages, documents):
            frame.unpersist()


def _messages(export: Export, rows: DataFrame, quantiser: Quantiser) -> DataFrame:
    """Return (term, message) of every term that occurs, ascending by the bytes of the term."""
    terms = [{"term_id": number, "term": token} for number, token in enumerate(export.tokens)]
    names = frame_of(export.session, terms, "term_id int, term string")
    pairs = rows.select("place", F.posexplode("indices").alias("at", "term_id"), "values")
    postings = pairs.select("term_id", F.struct("place", F.get("values", "at").alias("weight")).alias("posting"))
    lists = postings.groupBy("term_id").agg(F.sort_array(F.collect_list("posting")).alias("postings"))
    named = lists.join(F.broadcast(names), "term_id").select("term", "postings")
    return map_arrow(named, PostingsMessages(quantiser), MESSAGE_DDL).orderBy("term")


def _bytes(messages: DataFrame) -> Iterator[bytes]:
    return (bytes(row["message"]) for row in messages.toLocalIterator(prefetchPartitions=True))


def _records(documents: DataFrame) -> Iterator[DocRecord]:
    rows = documents.toLocalIterator(prefetchPartitions=True)
    return (DocRecord(row["place"], row["id"], row["length"]) for row in rows)
