"""Options of the jobs that ingest texts and encode them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, ChunkMinutes, JobOptions, Names, TokenBudget, VectorsName
from spladelake.config.encode_checks import check_changes, check_passages, check_tables
from spladelake.config.model_kinds import check_goes_with_model
from spladelake.config.refusals import OptionsError

if TYPE_CHECKING:
    from spladelake.passages.settings import PassageSettings

FileFormat = Literal["auto", "jsonl", "json", "tsv", "csv", "parquet", "delta", "qrels"]
Side = Literal["documents", "queries", "both"]

MAX_REJECTED_DEFAULT = 0.01
# Ten million bytes of plain text are a shelf of books, which is more than any model reads.
MAX_TEXT_BYTES_DEFAULT = 10_000_000

MaxRejected = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Largest share of rows that may go to quarantine (0.01 is 1 %). If more do, the job still writes "
        "the quarantine, but fails with exit code 3.",
    ),
]


class IngestTexts(JobOptions):
    """Read documents, queries and judgements into Delta tables.

    Rows that cannot be used go to the table `quarantine`, each with its reason.
    """

    synonyms: ClassVar[Mapping[str, str]] = {"qrels": "judgements", "qrels_format": "judgements_format"}

    source: str | None = Field(
        None, description="A BEIR folder (corpus.jsonl, queries.jsonl, qrels/), or ir_datasets:ID."
    )
    split: str = Field("test", description="Read the judgements of a BEIR folder from qrels/SPLIT.tsv.")
    documents: str | None = Field(None, description="File, folder or Delta table of documents.")
    documents_format: FileFormat = Field("auto", description="Format of --documents. auto: by the file name.")
    queries: str | None = Field(None, description="File, folder or Delta table of queries.")
    queries_format: FileFormat = Field("auto", description="Format of --queries.")
    judgements: str | None = Field(
        None,
        description="File, folder or Delta table of judgements: BEIR tsv, TREC qrels, or two ids and a grade in csv, "
        "jsonl, json, Parquet or Delta.",
    )
    judgements_format: FileFormat = Field("auto", description="Format of --judgements.")
    document_id: str | None = Field(
        None,
        description="Column or key of the document id (default: doc_id, _id, id …). a.b is the key b in the object a.",
    )
    document_title: str | None = Field(None, description="Column or key of the title.")
    document_text: str | None = Field(None, description="Column or key of the text.")
    query_id: str | None = Field(None, description="Column or key of the query id.")
    query_text: str | None = Field(None, description="Column or key of the query's text.")
    keep: Names = Field(
        (),
        description="Other columns or keys of the documents to keep in the table documents, separated by commas, or "
        "all. Values of text files are kept as text, other JSON values as JSON; columns of Parquet and Delta keep "
        "their types.",
    )
    max_rejected: MaxRejected = MAX_REJECTED_DEFAULT
    force: bool = Field(False, description="Ingest again even if the tables are current.")

    @model_validator(mode="after")
    def _names_a_source(self) -> IngestTexts:
        if not any((self.source, self.documents, self.queries, self.judgements)):
            wanted, fix = "--source, --documents, --queries or --judgements", "Add one of the four options."
            raise OptionsError("there is nothing to read", wanted, fix)
        if self.source and any((self.documents, self.queries, self.judgements)):
            found = "--source is given together with --documents, --queries or --judgements"
            wanted = "only --source, because the source has documents, queries and judgements"
            fix = "Leave out --source, or leave out --documents, --queries and --judgements."
            raise OptionsError(found, wanted, fix)
        if self.keep and not (self.source or self.documents):
            found, wanted = "--keep is given without documents", "--source or --documents together with --keep"
            raise OptionsError(found, wanted, "Leave out --keep, or add --documents.")
        if len(self.keep) > 1 and "all" in self.keep:
            found, wanted = f"--keep is {','.join(self.keep)}", "either 'all' alone, or only names of columns"
            raise OptionsError(found, wanted, "Write --keep all, or leave out 'all'.")
        for kind, columns in (("documents", ("id", "title", "text")), ("queries", ("id", "text"))):
            named = [f"{kind.replace('queries', 'query').removesuffix('s')}_{column}" for column in columns]
            given = [name for name in named if getattr(self, name) is not None]
            if given and getattr(self, kind) is None:
                option = f"--{given[0].replace('_', '-')}"
                found = f"{option} names a column of --{kind}, but --{kind} is missing"
                raise OptionsError(found, f"--{kind} together with {option}", f"Add --{kind}, or leave out {option}.")
        return self


class EncodeTexts(JobOptions):
    """Encode documents and queries into sparse vectors.

    Each Python worker loads the model once. It writes one Delta table of vectors for the documents and one for the
    queries.
    """

    model: str = Field(
        DEFAULT_MODEL,
        description="Hugging Face id, optionally id@revision; a local folder; package:NAME/folder for a folder in an "
        "installed Python package; splade-tiny; or bm25.",
    )
    query_model: str | None = Field(
        None,
        min_length=1,
        description="Model that encodes the queries, with the vocabulary of --model, which then encodes documents only "
        "(default: the query model that the vectors were made with, else --model).",
    )
    model_sha256: str | None = Field(
        None, description="Expected sha256 of the model's weights file. Another sum stops the job."
    )
    side: Side = Field("both", description="Table to encode, or both.")
    documents: str | None = Field(
        None,
        description="Delta table whose rows are encoded in place of the lake's documents: table:NAME for a table of "
        "the session's catalog, table:/FOLDER for a folder. The lake then holds vectors only.",
    )
    document_id: str | None = Field(
        None,
        min_length=1,
        description="With --documents: column or SQL expression of the document id (default: doc_id, _id, id …).",
    )
    document_text: str | None = Field(
        None,
        min_length=1,
        description="With --documents: column or SQL expression of the text, such as \"concat_ws(' ', name, info)\" "
        "(default: the columns title and text, or others with usual names, joined).",
    )
    queries: str | None = Field(
        None, description="Delta table whose rows are encoded in place of the lake's queries, as in --documents."
    )
    query_id: str | None = Field(
        None, min_length=1, description="With --queries: column or SQL expression of the query id."
    )
    query_text: str | None = Field(
        None, min_length=1, description="With --queries: column or SQL expression of the query's text."
    )
    where: str | None = Field(
        None,
        min_length=1,
        description="SQL condition on columns of the documents' table. Only documents that meet the condition get "
        "vectors.",
    )
    max_length: int | None = Field(
        None,
        ge=3,
        description="Most tokens read of each text, special tokens included; the rest is cut off (default: the model's "
        "own limit).",
    )
    max_active_dims: int | None = Field(
        None, ge=1, description="Keep only this many terms of each vector, the heaviest."
    )
    minimum_weight: float = Field(0.0, ge=0, description="Drop terms below this weight.")
    split_special_tokens: bool = Field(
        False, description='Read a literal "[SEP]" in a text as plain text, not as a special token.'
    )
    passage_by: Literal["tokens", "sentence", "paragraph"] | None = Field(
        None,
        description="Split documents into passages, one vector each. tokens: windows of --passage-tokens. sentence, "
        "paragraph: whole ones, as many as fit (default: as the vectors of this name were made, else whole texts).",
    )
    passage_tokens: int | None = Field(
        None,
        ge=1,
        description="Most tokens of a passage, without title and special tokens (default with --passage-by: 256). "
        "Alone it means --passage-by tokens.",
    )
    passage_stride: int | None = Field(
        None,
        ge=1,
        description="Tokens from the start of a passage to the start of the next (default: half of --passage-tokens).",
    )
    passage_title: Literal["every", "first"] | None = Field(
        None, description="Put the title before every passage or before the first one only (default: every)."
    )
    vectors: VectorsName = None
    rows_per_task: int | None = Field(
        None, ge=1, description="Texts in one Spark task (default: chosen from the numbers of texts and of task slots)."
    )
    token_budget: TokenBudget = None
    changes: Literal["snapshot", "feed", "stream"] = Field(
        "snapshot",
        description="How the job finds changed texts. snapshot: compare all texts with the vectors. feed: read the "
        "table's change feed. stream: like feed, but the position is kept in a streaming checkpoint, for scheduled "
        "jobs.",
    )
    since_version: int | None = Field(
        None,
        ge=0,
        description="With --changes feed: read the changes after this version of the table (default: the version of "
        "the last encoding).",
    )
    checkpoint: str | None = Field(
        None,
        min_length=1,
        description="With --changes stream: folder of the streaming checkpoint (default: beside the vectors).",
    )
    chunk_minutes: ChunkMinutes = 5.0
    chunk_rows: int | None = Field(None, ge=1, description="Commit after so many texts, instead of by --chunk-minutes.")
    max_text_bytes: int = Field(
        MAX_TEXT_BYTES_DEFAULT, ge=1, description="A larger text goes to quarantine instead of the model."
    )
    max_rejected: MaxRejected = MAX_REJECTED_DEFAULT
    retry_rejected: bool = Field(False, description="Try the texts in quarantine again, even if nothing has changed.")
    force: bool = Field(False, description="Encode all texts again even if the vectors are current.")
    dry_run: bool = Field(
        False, description="Encode only a sample, and print the time and the table sizes that all texts would take."
    )
    k1: float | None = Field(None, ge=0, description="BM25 k1: term-frequency saturation (default: 0.9).")
    b: float | None = Field(None, ge=0, le=1, description="BM25 b: document-length normalisation (default: 0.4).")
    stemmer: str | None = Field(None, min_length=1, description="BM25: Snowball stemmer, or none (default: english).")
    stopwords: str | None = Field(
        None,
        min_length=1,
        description="BM25 stop words: english, none, or a file with one word a line (default: english).",
    )

    @model_validator(mode="after")
    def _fits_the_model(self) -> EncodeTexts:
        check_goes_with_model(self, self.model)
        return self

    @property
    def passages(self) -> PassageSettings | None:
        """How documents are split; None if the user did not say."""
        from spladelake.passages.settings import DEFAULT_TOKENS, PassageSettings  # help pages do without

        if self.passage_by is None and self.passage_tokens is None:
            return None
        tokens = self.passage_tokens or DEFAULT_TOKENS
        return PassageSettings(self.passage_by or "tokens", tokens, self.passage_stride, self.passage_title or "every")

    @model_validator(mode="after")
    def _goes_together(self) -> EncodeTexts:
        check_passages(self)
        check_tables(self)
        check_changes(self)
        return self
