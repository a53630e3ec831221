"""Schemas of the tables of texts, vectors, runs, quarantine and run log."""

from __future__ import annotations

from dataclasses import replace

from spladelake.spark.tables.schema import Column, TableSchema

DOCUMENTS = TableSchema(
    "documents",
    "The searchable texts, one row for each document.",
    (
        Column("doc_id", "string", "Identifier of the document, unique in the table."),
        Column("title", "string", "Title, null if the source has none."),
        Column("text", "string", "Body. A document with a null or empty text keeps its row."),
    ),
    {"doc_id_present": "doc_id IS NOT NULL AND doc_id <> ''"},
    change_feed=True,
)

QUERIES = TableSchema(
    "queries",
    "The search requests, one row for each query.",
    (
        Column("query_id", "string", "Identifier of the query, unique in the table."),
        Column("text", "string", "Text of the query."),
    ),
    {"query_id_present": "query_id IS NOT NULL AND query_id <> ''"},
    change_feed=True,
)

JUDGEMENTS = TableSchema(
    "judgements",
    "Judged relevance of documents to queries (TREC: qrels).",
    (
        Column("query_id", "string", "Judged query."),
        Column("doc_id", "string", "Judged document, which may be missing in the table documents."),
        Column("relevance", "int", "Grade. 0 and lower grades mean: judged as not relevant."),
    ),
    {"ids_present": "query_id IS NOT NULL AND doc_id IS NOT NULL", "relevance_present": "relevance IS NOT NULL"},
)

# Settings for the data files of vectors (tests/bench/bench_storage.py). Of all encodings that every reader knows, zstd
# compresses plain term ids and weights, without a dictionary, best. A high level costs little time here.
VECTOR_FILES = {
    "spark.sql.parquet.compression.codec": "zstd",
    "parquet.compression.codec.zstd.level": "9",
    "parquet.enable.dictionary#indices.list.element": "false",
    "parquet.enable.dictionary#values.list.element": "false",
}

VECTORS = TableSchema(
    "vectors",
    "Sparse vectors of texts: the weight of every active term of each text.",
    (
        Column("id", "string", "doc_id or query_id of the text."),
        Column("indices", "array<int>", "Term ids, ascending and unique. The table vocabulary has their tokens."),
        Column(
            "values", "array<float>", "Weight of each term, finite and above 0. Scores are dot products of weights."
        ),
        Column("tokens", "int", "Tokens that the model read, special tokens included. 0 for a text without content."),
        Column("truncated", "boolean", "Whether the text was longer than the model's limit."),
        Column("text_sha256", "string", "Hash of the encoded text. Null for a null text."),
        Column("status", "string", "ok, repaired (lone surrogates or invalid UTF-8 replaced), null, empty or blank."),
        Column("model_id", "string", "Fingerprint of weights, tokenizer, pooling and settings."),
    ),
    {
        "id_present": "id IS NOT NULL",
        "same_length": "size(indices) = size(`values`)",
        # Spark compiles these functions to loops, which cost far less than a lambda over the elements or a sort. NaN
        # counts as the largest number. If the weights hold a null, array_contains can return null.
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

# Vectors that an unfinished encode has made so far. If the model cannot encode a text, the text has an empty vector and
# the status `rejected: REASON`. If there is no table of vectors yet, this table becomes it.
STAGED = replace(VECTORS, name="staged")

# Vectors of passages: the same, and the place of each passage. Tables of whole texts lack these columns.
PASSAGE_VECTORS = replace(
    VECTORS,
    columns=(
        replace(VECTORS.columns[0], comment="Id of the passage: doc_id, # and the number of the passage in 6 digits."),
        *VECTORS.columns[1:],
        Column("doc_id", "string", "Document of the passage."),
        Column("passage", "int", "Number of the passage in its document, from 0."),
        Column("start", "int", "First character of the passage in the text of the document, from 0."),
        Column("end", "int", "End of the passage in the text of the document, in characters (Unicode code points)."),
        Column("doc_sha256", "string", "Hash of title and text of the whole document. Null if both are null."),
    ),
    constraints={
        **VECTORS.constraints,
        "passage_present": "doc_id IS NOT NULL AND passage >= 0 AND start >= 0 AND `end` >= start",
    },
)
PASSAGE_COLUMNS = tuple(PASSAGE_VECTORS.column_names[len(VECTORS.columns) :])
PASSAGE_STAGED = replace(PASSAGE_VECTORS, name="staged")

# Texts of passages on their way to the encoder.
PASSAGE_TEXTS = TableSchema(
    "passages",
    "Passages of documents with their texts, before they are encoded.",
    (
        Column("id", "string", "Id of the passage."),
        Column("text", "string", "The passage, with the title in front of it. Null for a null document."),
        Column("text_sha256", "string", "Hash of the passage's text."),
        Column("repaired", "boolean", "Whether the document held invalid UTF-8."),
        Column("reason", "string", "Reason why the document cannot be encoded."),
        *(column for column in PASSAGE_VECTORS.columns if column.name in PASSAGE_COLUMNS),
    ),
)

CHANGED = TableSchema(
    "changed",
    "Changed texts that a stream has found and that are not encoded yet.",
    (
        Column("id", "string", "doc_id or query_id of the text."),
        Column("version", "bigint", "Version of the texts' table with the change."),
    ),
)

VOCABULARY = TableSchema(
    "vocabulary",
    "The token of each dimension of the vectors in the same folder.",
    (
        Column("term_id", "int", "Dimension, from 0."),
        Column("token", "string", "Token of the tokenizer. In BERT vocabularies ## marks the inside of a word."),
    ),
)

# A row of the index is a block with up to 60 MB of packed bits, which nothing compresses further. Each is a row group
# of its own, uncompressed, so that a search finds the bytes of a term in the file. Parquet closes pages and row groups
# by size, so the writer checks the size after each row.
INDEX_FILES = {
    "spark.sql.parquet.compression.codec": "uncompressed",
    "parquet.enable.dictionary": "false",
    "parquet.block.size": "1",
    "parquet.writer.max-padding": "0",
    "parquet.page.size.row.check.min": "1",
    "parquet.page.size.row.check.max": "1",
    "parquet.block.size.row.check.min": "1",
    "parquet.block.size.row.check.max": "1",
}

INDEX = TableSchema(
    "index",
    "The document vectors as blocks of postings, ready to score. Made from `documents` in the same folder.",
    (
        Column("source_file", "string", "Data file of the vectors from which the block was made."),
        Column("documents", "int", "Number of documents in the block."),
        Column("id_starts", "binary", "Start of each doc_id in `ids`, and the end: little-endian 32-bit integers."),
        Column("ids", "binary", "The concatenated doc_ids in UTF-8."),
        Column("terms", "binary", "Header, gaps between term ids, sizes of each term, and distinct weights if few."),
        Column("ordinals", "binary", "Documents of all postings, term by term: gaps between positions, in bits."),
        Column("weights", "binary", "Weights of all postings, term by term: codes without loss, in bits."),
        Column("model_id", "string", "Fingerprint of the model that made the vectors."),
    ),
    {"documents_present": "documents >= 1"},
    files=INDEX_FILES,
)

RUNS = TableSchema(
    "runs",
    "Rankings: the best documents of each query in each run.",
    (
        Column("run_id", "string", "Name of the run."),
        Column("query_id", "string", "Query."),
        Column("doc_id", "string", "Retrieved document."),
        Column("rank", "int", "Position from 1, by descending score, then ascending doc_id."),
        Column("score", "double", "Score of the document. In a retrieved run it is the dot product of both vectors."),
    ),
    {"rank_from_one": "rank >= 1"},
)

# Runs made of passages: the same, and each document's best passage. `runs` gets these columns with the first such run.
PASSAGE_RUNS = replace(
    RUNS,
    columns=(
        *RUNS.columns,
        Column("passage", "int", "Number of the document's best passage. Null if the vectors are of whole texts."),
        Column("passage_start", "int", "First character of the best passage in the text of the document."),
        Column("passage_end", "int", "End of the best passage in the text of the document."),
    ),
)
BEST_PASSAGE = tuple(PASSAGE_RUNS.column_names[len(RUNS.columns) :])

MEASURES = TableSchema(
    "measures",
    "Measures of runs: one row for each query and measure, and one for the mean over all counted queries.",
    (
        Column("run_id", "string", "Name of the run."),
        Column("measure", "string", "sentence-transformers' name (ndcg@10), trec_eval's (ndcg_cut_10), or a count."),
        Column("query_id", "string", "Query. Null for the mean over all counted queries."),
        Column("value", "double", "Value of the measure."),
    ),
)

QUARANTINE = TableSchema(
    "quarantine",
    "Unusable input rows, each with its reason.",
    (
        Column("source", "string", "File or table of the row."),
        Column("line", "bigint", "Line in the file from 1, or number of the record if records span lines."),
        Column("reason", "string", "Reason why the row cannot be used."),
        Column("raw", "binary", "The unchanged row."),
        Column("input", "string", "Name of the input: its target table and its location."),
    ),
)

RUN_LOG = TableSchema(
    "run_log",
    "One row for each run of a job, failed runs included. It contains no secret and no text of a document.",
    (
        Column("job_id", "string", "Random identifier of the row."),
        Column("job", "string", "Name of the job."),
        Column("run_id", "string", "Name of this run of the job. Null if it has none."),
        Column("run_date", "date", "Logical date of the run. Null if none was given."),
        Column("started", "timestamp", "Time of the start."),
        Column("seconds", "double", "Duration of the job, without the start of the session."),
        Column("status", "string", "Status, such as written or skipped. failed: the job raised an error."),
        Column("exit_code", "int", "Exit code of the command. 0 means success."),
        Column("error", "string", "Message of the error."),
        Column("config", "string", "Options as JSON. Secrets are replaced by ***."),
        Column("config_sha256", "string", "Hash of job and options."),
        Column("model_id", "string", "Fingerprint of the job's model."),
        Column("inputs", "string", "JSON: version of each table that the job read."),
        Column("outputs", "string", "JSON: newest version of each table that the job wrote."),
        Column("rows", "bigint", "Rows of the result."),
        Column("rows_quarantined", "bigint", "Rows in quarantine."),
        Column("docs_per_second", "double", "Rows divided by seconds."),
        Column("forecast_seconds", "double", "Seconds that a dry run forecast. Null without a dry run."),
        Column("forecast_error", "double", "Error of the forecast: forecast seconds divided by real seconds, minus 1."),
        Column("warnings", "string", "JSON: warnings of the workers with their counts."),
        Column("version", "string", "Release of spladelake."),
    ),
)
