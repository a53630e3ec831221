"""What an evaluation counts beside its measures, so that no number is silently about something else."""

COUNTS = {
    "queries": "judged queries that the means are over",
    "queries_without_results": "judged queries for which the run has nothing",
    "queries_not_judged": "queries of the run without judgements, left out",
    "judged_documents_unknown": "judged documents that the documents table does not have; they count as not found",
    "decided_by_tie_rule": "judged documents that share their score with another one, so that the tie rule ranks them",
    "ranks_against_scores": "judged documents whose rank in the run contradicts their score, which decided",
}
"""Rows of `measures` with a null query_id that are counts, not means, and what they count."""
