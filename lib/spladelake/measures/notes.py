"""Counts that an evaluation reports beside its measures, so that a reader knows which queries a mean covers."""

COUNTS = {
    "queries": "judged queries in the means",
    "queries_without_results": "judged queries without results in the run; they count as 0",
    "queries_not_judged": "queries of the run without judgements; they are left out",
    "judged_documents_unknown": "judged documents that the documents table does not have; they count as not found",
    "decided_by_tie_rule": "judged documents with the same score as another document; the tie rule ranks them",
    "ranks_against_scores": "judged documents whose rank in the run contradicts their score; the score decides",
}
"""Meaning of the rows of `measures` with a null query_id that are counts, not means."""
