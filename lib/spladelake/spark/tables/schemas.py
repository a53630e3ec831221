"""Schemas of the tables of texts, vectors, runs, quarantine and run log."""

from __future__ import annotations

from dataclasses import replace

from spladelake.spark.tables.schema import Column, TableSchema

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
