"""Options of the jobs that make tables of texts and of their vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, JobOptions
from spladelake.config.bm25 import check_goes_with_model

FileFormat = Literal["auto", "jsonl", "json", "tsv", "csv", "parquet", "delta", "qrels"]
Side = Literal["documents", "queries", "both"]

MAX_REJECTED_DEFAULT = 0.01
# Ten million bytes of plain text are a shelf of books, and more than any model reads.
MAX_TEXT_BYTES_DEFAULT = 10_000_000


class IngestTexts(JobOptions):
    """Read documents, queries and judgements into Delta tables; rows that cannot be used go to `quarantine`."""

    source: str | None = Field(
        None, description="A BEIR folder (corpus.jsonl, queries.jsonl, qrels/), or ir_datasets:ID."
    )
    split: str = Field("test", description="Which qrels/SPLIT.tsv of a BEIR folder.")
    documents: str | None = Field(None, description="File, folder or Delta table of documents.")
    documents_format: FileFormat = Field("auto", description="Format of --documents; auto goes by the name.")
    queries: str | None = Field(None, description="File, folder or Delta table of queries.")
    queries_format: FileFormat = Field("auto", description="Format of --queries.")
    judgements: str | None = Field(None, description="Judgements: BEIR tsv, TREC qrels, or two ids and a grade in lines, csv, jsonl, json, parquet or Delta.")
    judgements_format: FileFormat = Field("auto", description="Format of --judgements.")
    document_id: str | None = Field(
        None, description="Column or key of the document id (default: doc_id, _id, id …); a.b is b in the object a."
    )
    document_title: str | None = Field(None, description="Column or key of the title.")
    document_text: str | None = Field(None, description="Column or key of the text.")
    query_id: str | None = Field(None, description="Column or key of the query id.")
    query_text: str | None = Field(None, description="Column or key of the query's text.")
    max_rejected: float = Field(
        MAX_REJECTED_DEFAULT,
        ge=0,
        le=1,
        description="Share of rows that may be malformed; above it the job fails (exit 3) after writing quarantine.",
    )
    force: bool = Field(False, description="Do the work even if the tables are current.")

    @model_validator(mode="after")
    def _names_a_source(self) -> IngestTexts:
        if not any((self.source, self.documents, self.queries, self.judgements)):
            raise ValueError("nothing to read: give --source, or --documents, --queries or --judgements")
        if self.source and any((self.documents, self.queries, self.judgements)):
            raise ValueError("--source already names all three; leave out --documents, --queries and --judgements")
        for kind, columns in (("documents", ("id", "title", "text")), ("queries", ("id", "text"))):
            named = [f"{kind.replace('queries', 'query').removesuffix('s')}_{column}" for column in columns]
            given = [name for name in named if getattr(self, name) is not None]
            if given and getattr(self, kind) is None:
                raise ValueError(f"{given[0]} names a column of --{kind}, which is not given")
        return self


class EncodeTexts(JobOptions):
    """Encode documents and queries into sparse vectors: one model a Python worker, one Delta table a side."""

    model: str = Field(
        DEFAULT_MODEL,
        description="Hugging Face id (optionally id@revision), local folder, package:NAME/folder, splade-tiny, bm25.",
    )
    model_sha256: str | None = Field(None, description="Refuse the model unless its weights file has this sha256.")
    side: Side = Field("both", description="Which table to encode.")
    max_length: int | None = Field(None, ge=3, description="Tokens read of each text (default: the model's own).")
    max_active_dims: int | None = Field(None, ge=1, description="Keep only so many of the heaviest terms.")
    minimum_weight: float = Field(0.0, ge=0, description="Drop terms below this weight.")
    split_special_tokens: bool = Field(False, description='Read a literal "[SEP]" in a text as plain text.')
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    rows_per_task: int | None = Field(None, ge=1, description="Texts in one Spark task (default: by corpus and slots).")
    token_budget: int | None = Field(None, ge=16, description="Padded tokens in one forward pass.")
    changes: Literal["snapshot", "feed", "stream"] = Field(
        "snapshot",
        description="How changed texts are found: by comparing all with the vectors, from the table's change feed, "
        "or from a stream over it that keeps its place (for schedulers).",
    )
    since_version: int | None = Field(
        None, ge=0, description="With --changes feed: read it from after this version (default: that of the vectors)."
    )
    checkpoint: str | None = Field(
        None, min_length=1, description="With --changes stream: its folder (default: beside the vectors)."
    )
    chunk_minutes: float = Field(
        5.0, gt=0, description="Minutes of work in one commit: what a killed run loses at most."
    )
    chunk_rows: int | None = Field(None, ge=1, description="Texts in one commit, instead of --chunk-minutes.")
    max_text_bytes: int = Field(
        MAX_TEXT_BYTES_DEFAULT, ge=1, description="A text larger than this goes to quarantine instead of the model."
    )
    max_rejected: float = Field(
        MAX_REJECTED_DEFAULT,
        ge=0,
        le=1,
        description="Share of texts that may go to quarantine; above it the job fails (exit 3) after writing it.",
    )
    retry_rejected: bool = Field(False, description="Try the texts in quarantine again, though nothing has changed.")
    force: bool = Field(False, description="Encode everything again even if the vectors are current.")
    dry_run: bool = Field(
        False, description="Encode a sample only, and say how long all would take and how large the tables would be."
    )
    k1: float | None = Field(None, ge=0, description="bm25: how soon more of a word stops counting (default: 0.9).")
    b: float | None = Field(None, ge=0, le=1, description="bm25: how much a document's length counts (default: 0.4).")
    stemmer: str | None = Field(None, min_length=1, description="bm25: Snowball algorithm, or none (default: english).")
    stopwords: str | None = Field(
        None, min_length=1, description="bm25: english, none, or a file of one word a line (default: english)."
    )

    @model_validator(mode="after")
    def _fits_the_model(self) -> EncodeTexts:
        check_goes_with_model(self, self.model)
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> EncodeTexts:
        if self.since_version is not None and self.changes != "feed":
            raise ValueError("--since-version belongs to --changes feed")
        if self.checkpoint is not None and self.changes != "stream":
            raise ValueError("--checkpoint belongs to --changes stream")
        if self.checkpoint is not None and self.side == "both":
            raise ValueError("--checkpoint is that of one side: give --side documents or --side queries")
        return self
