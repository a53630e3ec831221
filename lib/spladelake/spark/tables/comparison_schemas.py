"""Schemas of the tables for comparisons of runs and for compactions of vectors."""

from __future__ import annotations

from spladelake.spark.tables.schema import Column, TableSchema

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
