"""Exact top k by dot product of sparse vectors, on one machine, with numpy and numba only.

`blocks_of` turns documents into blocks of postings.
`query_passes` turns queries into flat arrays. `TopK` ranks the documents; `top_k` has an example of five lines.
"""

from spladelake.scoring.best_passages import TopDocuments
from spladelake.scoring.best_scores import BestScores
from spladelake.scoring.blocks import BLOCK_DOCUMENTS, Block, blocks_of, invert
from spladelake.scoring.checks import check_vectors
from spladelake.scoring.compiled import Compilation, compile_kernels
from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.expected import Expected, expected_bounds
from spladelake.scoring.products import count_products, term_counts
from spladelake.scoring.queries import Queries, query_passes
from spladelake.scoring.ranked import Ranked
from spladelake.scoring.top_k import ScoringWork, TooLargeError, TopK, merge
from spladelake.scoring.units import REST_UNITS, SCORE_UNITS

__all__ = [
    "BLOCK_DOCUMENTS",
    "REST_UNITS",
    "SCORE_UNITS",
    "BestScores",
    "Block",
    "Compilation",
    "DocIds",
    "Expected",
    "Queries",
    "Ranked",
    "ScoringWork",
    "TooLargeError",
    "TopDocuments",
    "TopK",
    "blocks_of",
    "check_vectors",
    "compile_kernels",
    "count_products",
    "expected_bounds",
    "invert",
    "merge",
    "query_passes",
    "term_counts",
]
