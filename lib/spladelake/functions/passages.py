"""Documents split into passages, as a plan over a DataFrame."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.config import DEFAULT_MODEL, EncodeTexts, checked
from spladelake.encoder.passages import Splitter
from spladelake.functions.columns import id_column, text_column
from spladelake.functions.vectors import text_checkpoint
from spladelake.spark.encode.passages.documents import documents_of
from spladelake.spark.encode.passages.worker import SplitDocuments, SplitterSpec
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables.schemas import PASSAGE_TEXTS
from spladelake.spark.tables.sql_text import quoted

_COLUMNS = ("id", "doc_id", "passage", "start", "end", "text")


def passages(
    documents: DataFrame,
    *,
    model: str = DEFAULT_MODEL,
    by: str = "tokens",
    tokens: int = 256,
    stride: int | None = None,
    title: str = "every",
    document_id: str | None = None,
    title_name: str | None = None,
    text_name: str = "text",
) -> DataFrame:
    """Return (id, doc_id, passage, start, end, text): the passages of documents, as encode_texts splits them.

        sl.passages(documents, tokens=256, stride=128).withColumn("vector", sl.encode("text"))

    start and end are characters (Unicode code points) in the text of the document; text is what the model reads. A
    document that cannot be split, which is rare, has one row with a null text.

    - documents: a DataFrame with an id and a text.
    - model: its tokenizer counts the tokens.
    - by, tokens, stride, title: as --passage-by, --passage-tokens, --passage-stride, --passage-title of encode_texts.
    - document_id: column of the ids, string or integer (default: a column with a usual name, such as doc_id).
    - title_name: column of the titles; None if there are none.
    - text_name: column of the texts.

    Raises UsageError for a column that is missing or of another type, and for settings that the model cannot read.
    """
    given = {"passage_by": by, "passage_tokens": tokens, "passage_stride": stride, "passage_title": title}
    settings = checked(EncodeTexts, {"lake": "none", "model": model, **given}, place="passages").passages
    assert settings is not None
    fix = "Name a column of ids with document_id=."
    own = id_column(documents, document_id, kind="documents", column="doc_id", place="passages", fix=fix)
    text = text_column(documents, text_name, "passages")
    head = None if title_name is None else text_column(documents, title_name, "passages")
    checkpoint = text_checkpoint(model).for_kind("document")
    Splitter.load(checkpoint, settings, verify=False)  # refuses passages that do not fit
    rows = documents.select(
        own.text.alias("doc_id"),
        (F.lit(None).cast("string") if head is None else F.col(quoted(head))).alias("title"),
        F.col(quoted(text)).alias("text"),
    )
    split = SplitDocuments(SplitterSpec(checkpoint, settings))
    texts = documents_of(rows).withColumn("reason", F.lit(None).cast("string"))
    columns = texts.select("id", "title", "text", "text_sha256", "repaired", "reason")
    found = map_arrow(columns, split, PASSAGE_TEXTS.struct)
    return found.withColumn("doc_id", F.col("doc_id").cast(own.type)).select(*_COLUMNS)
