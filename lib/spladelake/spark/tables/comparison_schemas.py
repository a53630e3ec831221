"""Schemas of the tables for comparisons of runs and for compactions of vectors."""

from __future__ import annotations

from spladelake.spark.tables.schema import Column, TableSchema

_COMPARISON = Column("comparison", "string", "Name of the comparison.")
_COLLECTION = Column("collection", "string", "Name of the collection.")

COMPARED_SYSTEMS = TableSchema(
    "comparisons/systems",
    "Means of the compared runs.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("run_id", "string", "Name of the run."),
        Column("measure", "string", "sentence-transformers' name (ndcg@10) or trec_eval's (ndcg_cut_10)."),
        Column("queries", "int", "Number of queries in the mean."),
        Column("value", "double", "Mean of the measure."),
        Column("published", "double", "Published value of the system. Null if none was given."),
    ),
)


COMPARED_COSTS = TableSchema(
    "comparisons/costs",
    "Costs of each compared run. Null if the run was not made from vectors of its lake.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("run_id", "string", "Name of the run."),
        Column("query_active_dims", "double", "Mean number of terms of a query."),
        Column("corpus_active_dims", "double", "Mean number of terms of a document."),
        Column("flops", "double", "Expected products in a score of a query and a document: sum of p_q p_d over terms."),
        Column("table_bytes", "bigint", "Size of the files of the documents' vectors."),
        Column("encode_seconds", "double", "Seconds of the job that encoded most of the documents, from the run log."),
    ),
)


COMPARED_PAIRS = TableSchema(
    "comparisons/pairs",
    "Significance tests of the difference between two runs, on the queries of one collection.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("measure", "string", "Measure that is compared."),
        Column("run_a", "string", "First run: the baseline, if there is one."),
        Column("run_b", "string", "Second run."),
        Column("queries", "int", "Number of compared queries."),
        Column("difference", "double", "Mean of the second run minus mean of the first run."),
        Column("wins", "int", "Number of queries on which the second run is better."),
        Column("ties", "int", "Number of queries on which both runs are equal, to 1e-9."),
        Column("losses", "int", "Number of queries on which the second run is worse."),
        Column("t", "double", "Statistic of the paired t-test. Null if all differences are equal."),
        Column("t_p", "double", "Two-sided p of the t-test."),
        Column("t_p_holm", "double", "The same p with Holm's correction for all pairs of collection and measure."),
        Column("randomisation_p", "double", "Two-sided p of the paired randomisation test of the mean."),
        Column(
            "randomisation_p_holm",
            "double",
            "The same p with Holm's correction for all pairs of collection and measure.",
        ),
    ),
)


COMPARED_QUERIES = TableSchema(
    "comparisons/queries",
    "The difference between two runs on each query.",
    (
        _COMPARISON,
        _COLLECTION,
        Column("measure", "string", "Measure that is compared."),
        Column("query_id", "string", "Query."),
        Column("run_a", "string", "First run: the baseline, if there is one."),
        Column("run_b", "string", "Second run."),
        Column("value_a", "double", "Value of the first run."),
        Column("value_b", "double", "Value of the second run."),
        Column("delta", "double", "Value of the second run minus value of the first run."),
    ),
)


COMPACTIONS = TableSchema(
    "compactions",
    "Costs of compaction: one row for each tried setting and each measure.",
    (
        Column("compaction", "string", "Name of the compacted vectors."),
        Column("settings", "string", "Settings of the compaction."),
        Column("chosen", "boolean", "Whether these vectors were written."),
        Column("postings", "bigint", "Number of terms of all documents."),
        Column("table_bytes", "bigint", "Size of the files of the documents' vectors. Null if the job wrote none."),
        Column("bytes_per_posting", "double", "table_bytes divided by postings."),
        Column("measure", "string", "Measure. Null if the collection has no judgements."),
        Column("before", "double", "Mean of the measure with the original vectors."),
        Column("after", "double", "Mean of the measure with the compacted vectors."),
        Column("ratio", "double", "after divided by before."),
        Column("t_p", "double", "Two-sided p of the paired t-test. Null if no query changed."),
        Column("randomisation_p", "double", "Two-sided p of the paired randomisation test of the mean."),
        Column("largest_score_error", "double", "Largest change of a score among documents in both rankings."),
        Column("score_error_bound", "double", "Upper bound of the change of any score of these queries."),
    ),
)
