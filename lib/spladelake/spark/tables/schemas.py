"""The tables: their columns, constraints and comments, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyspark.sql.types import DataType, StructField, StructType


@dataclass(frozen=True)
class Column:
    """One column: its Spark SQL type in DDL form and what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class TableSchema:
    """A table of the project. `constraints` are SQL conditions that every row keeps, by name.

    change_feed: whether Delta records which rows each commit changed, so that what reads it can follow. files: settings
    of the session under which its data files are written.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    constraints: dict[str, str] = field(default_factory=dict)
    change_feed: bool = False
    files: dict[str, str] = field(default_factory=dict)

    @property
    def struct(self) -> StructType:
        """The columns as Spark's schema type."""
        return StructType([StructField(c.name, DataType.fromDDL(c.type), nullable=True) for c in self.columns])

    @property
    def column_names(self) -> list[str]:
        return [c.name for c in self.columns]


def same_condition(found: str | None, wanted: str) -> bool:
    """Whether a constraint of a table is that of a schema: ADD CONSTRAINT keeps it with other spaces."""
    return found is not None and "".join(found.split()) == "".join(wanted.split())


DOCUMENTS = TableSchema(
    "documents",
    "Texts to search, one row each.",
    (
        Column("doc_id", "string", "Identifier of the document, unique in the table."),
        Column("title", "string", "Title, null where the source has none."),
        Column("text", "string", "Body; null and empty texts keep their row."),
    ),
    {"doc_id_present": "doc_id IS NOT NULL AND doc_id <> ''"},
    change_feed=True,
)

QUERIES = TableSchema(
    "queries",
    "Search requests, one row each.",
    (
        Column("query_id", "string", "Identifier of the query, unique in the table."),
        Column("text", "string", "What the user typed."),
    ),
    {"query_id_present": "query_id IS NOT NULL AND query_id <> ''"},
    change_feed=True,
)

JUDGEMENTS = TableSchema(
    "judgements",
    "Relevance of documents to queries, as assessors saw it (TREC: qrels).",
    (
        Column("query_id", "string", "Query that was judged."),
        Column("doc_id", "string", "Document that was judged; it need not be in the documents table."),
        Column("relevance", "int", "Grade; 0 and below mean judged not relevant."),
    ),
    {"ids_present": "query_id IS NOT NULL AND doc_id IS NOT NULL", "relevance_present": "relevance IS NOT NULL"},
)

# How the data files of vectors are written (tests/bench/bench_storage.py). Term ids and weights as they are, without a
# dictionary, are what zstd makes smallest among the forms that every reader knows; a higher level costs little here.
VECTOR_FILES = {
    "spark.sql.parquet.compression.codec": "zstd",
    "parquet.compression.codec.zstd.level": "9",
    "parquet.enable.dictionary#indices.list.element": "false",
    "parquet.enable.dictionary#values.list.element": "false",
}

VECTORS = TableSchema(
    "vectors",
    "Sparse vectors of texts: weight of every vocabulary term that is active in the text.",
    (
        Column("id", "string", "doc_id or query_id of the text."),
        Column(
            "indices", "array<int>", "Term ids, ascending and unique; names are in the vocabulary table beside this."
        ),
        Column("values", "array<float>", "Weight of each term, finite and above 0; score = dot product."),
        Column("tokens", "int", "Tokens that the model read, special ones included; 0 for a text without content."),
        Column("truncated", "boolean", "Whether the text was longer than the model reads."),
        Column("text_sha256", "string", "Hash of the encoded text, null for a null text."),
        Column("status", "string", "ok, repaired (lone surrogates or invalid UTF-8 replaced), null, empty or blank."),
        Column("model_id", "string", "Fingerprint of weights, tokenizer, pooling and settings."),
    ),
    {
        "id_present": "id IS NOT NULL",
        "same_length": "size(indices) = size(`values`)",
        # Loops that Spark compiles, which cost next to nothing beside a lambda over the elements or sorting them. NaN
        # is the largest number there; of weights with a null among them array_contains says neither yes nor no.
        "weights_positive": (
            "size(`values`) = 0 OR (array_min(`values`) > 0 AND array_max(`values`) < float('Infinity') "
            "AND coalesce(NOT array_contains(`values`, float(0)), false))"
        ),
        "terms_ascend": "indices = array_distinct(sort_array(indices))",
        "terms_valid": "size(indices) = 0 OR get(indices, 0) >= 0",
        "model_present": "model_id IS NOT NULL",
    },
    change_feed=True,
    files=VECTOR_FILES,
)

# Vectors that an unfinished encode has made so far. A text that the model cannot take has an empty vector there, and
# `rejected: REASON` as its status. Where no vectors are yet, this very table becomes theirs.
STAGED = replace(VECTORS, name="staged")

CHANGED = TableSchema(
    "changed",
    "Texts that a stream saw change and that the vectors do not yet follow.",
    (
        Column("id", "string", "doc_id or query_id of the text."),
        Column("version", "bigint", "Version of the texts' table that changed it."),
    ),
)

VOCABULARY = TableSchema(
    "vocabulary",
    "Name of each dimension of the vectors beside it.",
    (
        Column("term_id", "int", "Dimension, from 0."),
        Column("token", "string", "The tokenizer's piece; ## marks the inside of a word in BERT vocabularies."),
    ),
)

INDEX = TableSchema(
    "index",
    "Document vectors turned into blocks of postings, ready to score; made from `documents` beside it.",
    (
        Column("source_file", "string", "Data file of the vectors that the block was made from."),
        Column("documents", "int", "Documents of the block."),
        Column("id_starts", "binary", "Where each doc_id starts in `ids`, and the end: little-endian 64-bit integers."),
        Column("ids", "binary", "The doc_ids, one after the other, in UTF-8."),
        Column("terms", "binary", "Header, term ids, start of each term's postings and its largest weight."),
        Column("ordinals", "binary", "Documents of all postings, term by term: 16-bit places within the block."),
        Column("weights", "binary", "Weights of all postings: 32-bit floats."),
        Column("model_id", "string", "Fingerprint of the model that made the vectors."),
    ),
    {"documents_present": "documents >= 1"},
)

RUNS = TableSchema(
    "runs",
    "Rankings: the best documents of each query, by run.",
    (
        Column("run_id", "string", "Name of the run."),
        Column("query_id", "string", "Query that was asked."),
        Column("doc_id", "string", "Document that was found."),
        Column("rank", "int", "Position from 1; score descending, then doc_id ascending."),
        Column("score", "double", "What ranks the documents; of a retrieved run the dot product of the two vectors."),
    ),
    {"rank_from_one": "rank >= 1"},
)

MEASURES = TableSchema(
    "measures",
    "Effectiveness of runs: one row a query and measure, and the mean over all counted queries.",
    (
        Column("run_id", "string", "Name of the run."),
        Column("measure", "string", "sentence-transformers' name (ndcg@10), trec_eval's (ndcg_cut_10), or a count."),
        Column("query_id", "string", "Query, or null for the mean over all counted queries."),
        Column("value", "double", "Value of the measure."),
    ),
)

QUARANTINE = TableSchema(
    "quarantine",
    "Input rows that could not be used, each with its reason.",
    (
        Column("source", "string", "File or table the row came from."),
        Column("line", "bigint", "Line in the file from 1, or record number where records span lines."),
        Column("reason", "string", "What was wrong."),
        Column("raw", "binary", "The row as it was found."),
        Column("input", "string", "The input it was read from: the table it was meant for, and where."),
    ),
)

PARTS = TableSchema(
    "training/parts",
    "Which judged queries are for training, which choose the best checkpoint, and which are for what is reported.",
    (
        Column("query_id", "string", "Judged query."),
        Column("part", "string", "train, dev or test; queries of equal text are in one part."),
    ),
    {"part_known": "part IN ('train', 'dev', 'test')"},
)

PAIRS = TableSchema(
    "training/pairs",
    "What a model is trained on: a judged positive of a query with its hard negatives.",
    (
        Column("query_id", "string", "Query of the part train."),
        Column("pos_id", "string", "Document that is judged relevant to it."),
        Column("neg_ids", "array<string>", "Documents of the run that are not, the best negative first."),
    ),
    {"ids_present": "query_id IS NOT NULL AND pos_id IS NOT NULL", "negatives_present": "size(neg_ids) >= 1"},
)

TEACHER_SCORES = TableSchema(
    "training/teacher_scores",
    "What each teacher says of a query and a document; kept, so that no pair of texts is scored twice.",
    (
        Column("teacher", "string", "Teacher as it was named."),
        Column("model_id", "string", "Fingerprint of the teacher; of a run its rows."),
        Column("query_id", "string", "Query."),
        Column("doc_id", "string", "Document."),
        Column("pair", "string", "Hash of the two texts."),
        Column("score", "double", "Raw score."),
    ),
    {"score_finite": "score > double('-Infinity') AND score < double('Infinity')"},
)

SCORED_PAIRS = TableSchema(
    "training/scored_pairs",
    "The pairs with the teachers' scores; of several teachers their average.",
    (
        Column("query_id", "string", "Query."),
        Column("pos_id", "string", "Document that is judged relevant to it."),
        Column("neg_ids", "array<string>", "Its negatives, in the order of `pairs`."),
        Column("pos_score", "double", "Score of the positive."),
        Column("neg_scores", "array<double>", "Score of each negative."),
        Column("margins", "array<double>", "pos_score less the score of each negative."),
    ),
    {"same_length": "size(neg_ids) = size(neg_scores) AND size(neg_ids) = size(margins)"},
)

_COMPARISON = Column("comparison", "string", "Name of the comparison.")
_COLLECTION = Column("collection", "string", "Name of the collection that the runs were measured on.")

COMPARED_SYSTEMS = TableSchema(
    "comparisons/systems",
    "Means of the runs that a comparison looks at.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("run_id", "string", "Name of the run."),
        Column("measure", "string", "sentence-transformers' name (ndcg@10) or trec_eval's (ndcg_cut_10)."),
        Column("queries", "int", "Queries that the mean is over."),
        Column("value", "double", "Mean of the measure."),
        Column("published", "double", "Value that was published for the system, null where none was given."),
    ),
)

COMPARED_COSTS = TableSchema(
    "comparisons/costs",
    "What each run of a comparison costs; null where a run did not come from vectors of its lake.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("run_id", "string", "Name of the run."),
        Column("query_active_dims", "double", "Terms of a query, on average."),
        Column("corpus_active_dims", "double", "Terms of a document, on average."),
        Column("flops", "double", "Products in the score of a random query and document: sum over terms of p_q p_d."),
        Column("table_bytes", "bigint", "Size of the files of the documents' vectors."),
        Column("encode_seconds", "double", "Seconds of the job that encoded most of them, by the run log."),
    ),
)

COMPARED_PAIRS = TableSchema(
    "comparisons/pairs",
    "Tests of whether two runs differ by more than chance, on the queries of one collection.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("measure", "string", "Measure that is compared."),
        Column("run_a", "string", "First run; the baseline where there is one."),
        Column("run_b", "string", "Second run."),
        Column("queries", "int", "Queries that both were measured on."),
        Column("difference", "double", "Mean of the second run less that of the first."),
        Column("wins", "int", "Queries on which the second run is better."),
        Column("ties", "int", "Queries on which they are equal, to 1e-9."),
        Column("losses", "int", "Queries on which the second run is worse."),
        Column("t", "double", "Statistic of the paired t-test, null where the differences do not vary."),
        Column("t_p", "double", "Two-sided p of the t-test."),
        Column("t_p_holm", "double", "The same, corrected for all pairs of the collection and measure."),
        Column("randomisation_p", "double", "Two-sided p of the paired randomisation test of the mean."),
        Column("randomisation_p_holm", "double", "The same, corrected for all pairs of the collection and measure."),
    ),
)

COMPARED_QUERIES = TableSchema(
    "comparisons/queries",
    "How two runs differ on each query.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("measure", "string", "Measure that is compared."),
        Column("query_id", "string", "Query."),
        Column("run_a", "string", "First run; the baseline where there is one."),
        Column("run_b", "string", "Second run."),
        Column("value_a", "double", "Value of the first run."),
        Column("value_b", "double", "Value of the second run."),
        Column("delta", "double", "What the second run gains."),
    ),
)

COMPACTIONS = TableSchema(
    "compactions",
    "What compacted vectors cost: a row for each setting that was tried and each measure, and which one was written.",
    (
        Column("compaction", "string", "Name of the compacted vectors."),
        Column("settings", "string", "What was done to the vectors."),
        Column("chosen", "boolean", "Whether these vectors were written."),
        Column("postings", "bigint", "Terms of all documents together."),
        Column("table_bytes", "bigint", "Size of the files of the documents' vectors, null where none were written."),
        Column("bytes_per_posting", "double", "Those over the postings."),
        Column("measure", "string", "Measure, null where the collection has no judgements."),
        Column("before", "double", "Its mean over the vectors as they were."),
        Column("after", "double", "Its mean over the compacted ones."),
        Column("ratio", "double", "The second over the first."),
        Column("t_p", "double", "Two-sided p of the paired t-test, null where no query changed."),
        Column("randomisation_p", "double", "Two-sided p of the paired randomisation test of the mean."),
        Column(
            "largest_score_error", "double", "Largest change of a score among the documents that both rankings list."
        ),
        Column("score_error_bound", "double", "What no score of these queries can change by."),
    ),
)

RUN_LOG = TableSchema(
    "run_log",
    "One row for every job that ran, also for those that failed. No secret and no text of a document is in it.",
    (
        Column("job_id", "string", "Made up for this row."),
        Column("job", "string", "Name of the job."),
        Column("run_id", "string", "What this run of the job is called, null where it has no name."),
        Column("run_date", "date", "Day that the run is for, null where none was given."),
        Column("started", "timestamp", "When it started."),
        Column("seconds", "double", "How long it took, the session's start not included."),
        Column("status", "string", "written, skipped, or another word of its result; failed where it raised an error."),
        Column("exit_code", "int", "What the command ended with: 0 where it did not fail."),
        Column("error", "string", "What it said when it failed."),
        Column("config", "string", "Its options as JSON, secrets replaced by ***."),
        Column("config_sha256", "string", "Hash of job and options: equal for the same job again."),
        Column("model_id", "string", "Fingerprint of the model it used."),
        Column("inputs", "string", "JSON: version of every table that it read."),
        Column("outputs", "string", "JSON: newest version of every table that it wrote."),
        Column("rows", "bigint", "Rows it wrote, or looked at and wrote."),
        Column("rows_quarantined", "bigint", "Rows it put into quarantine."),
        Column("docs_per_second", "double", "Rows over seconds."),
        Column("forecast_seconds", "double", "What a dry run said that the work would take, null without one."),
        Column("forecast_error", "double", "Of a job that was forecast: those seconds over the real ones, less 1."),
        Column("warnings", "string", "JSON: warnings of the workers, each with its count."),
        Column("version", "string", "Release of spladelake."),
    ),
)
