"""Measures under names that say whose definition they follow."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spladelake.errors import UsageError
from spladelake.measures import definitions
from spladelake.measures.definitions import Counts, Hits, Relevances, Values

Convention = Literal["sentence-transformers", "trec_eval"]


@dataclass(frozen=True)
class _Formula:
    """A binary formula (of hits and their number) or, where there is none, the graded one."""

    convention: Convention
    binary: Callable[[Hits, Counts, int], Values] | None


_FORMULAS: dict[str, _Formula] = {
    "accuracy@k": _Formula("sentence-transformers", definitions.success),
    "precision@k": _Formula("sentence-transformers", definitions.precision),
    "recall@k": _Formula("sentence-transformers", definitions.recall),
    "ndcg@k": _Formula("sentence-transformers", definitions.binary_ndcg),
    "mrr@k": _Formula("sentence-transformers", definitions.reciprocal_rank),
    "map@k": _Formula("sentence-transformers", definitions.average_precision_of_min),
    "ndcg_cut_k": _Formula("trec_eval", None),
    "recall_k": _Formula("trec_eval", definitions.recall),
    "P_k": _Formula("trec_eval", definitions.precision),
    "map": _Formula("trec_eval", definitions.average_precision),
    "map_cut_k": _Formula("trec_eval", definitions.average_precision),
    "recip_rank": _Formula("trec_eval", definitions.reciprocal_rank),
    # trec_eval has no such name; it is `trec_eval -M k -m recip_rank`, and MS MARCO's RR@k where no scores tie.
    "recip_rank_cut_k": _Formula("trec_eval", definitions.reciprocal_rank),
    "success_k": _Formula("trec_eval", definitions.success),
}

CARD_MEASURES: tuple[str, ...] = (
    *(f"{measure}@{k}" for measure in ("accuracy", "precision", "recall") for k in (1, 3, 5, 10)),
    *("ndcg@10", "mrr@10", "map@100"),
)
"""What sentence-transformers' evaluator reports, and so what model cards show."""

TREC_MEASURES: tuple[str, ...] = ("ndcg_cut_10", "recip_rank", "map", "recall_100", "recall_1000", "P_10")
"""What papers on TREC collections report; ndcg_cut_10 looks at the grades, the others at the level."""

MEASURE_SETS: dict[str, tuple[str, ...]] = {
    "card": CARD_MEASURES,
    "trec_eval": TREC_MEASURES,
    "all": (*CARD_MEASURES, *TREC_MEASURES, "recip_rank_cut_10"),
}
"""Names that stand for several measures where measures are listed."""


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """Names of single measures, each once, the names of sets replaced by their members.

    Raises UsageError for an unknown name.
    """
    members = (name for given in names for name in MEASURE_SETS.get(given, (given,)))
    return tuple(dict.fromkeys(parse_measure(name).name for name in members))


@dataclass(frozen=True)
class Measure:
    """A measure of one ranking, called as `measure(relevance, judged, level=1)`.

    depth: how many ranks it looks at, or None for all. Make one with `parse_measure`.
    """

    name: str
    convention: Convention
    depth: int | None
    _formula: _Formula

    def __call__(self, relevance: Relevances, judged: Relevances, *, level: int = 1) -> float:
        """Value of the measure, from 0 to 1.

        relevance: int32 (ranks), the judged relevance at each rank, best rank first, 0 where unjudged.
        judged: int32, the relevance of every judged document of the query, in any order.
        level: the smallest relevance that counts as relevant, at least 1; ndcg_cut_k takes the grades and ignores it.
        A query without a relevant document: nan by sentence-transformers, which leaves it out of the mean (so callers
        must filter with `counts`, and a mean that forgot to cannot pass for a number); 0 by trec_eval.
        """
        return float(self.of_many(relevance[None], judged[None], level=level)[0])

    def of_many(self, relevance: Relevances, judged: Relevances, *, level: int = 1) -> Values:
        """Values of many queries, float64 (queries): the same as one call for each.

        relevance: int32 (queries, ranks), judged: int32 (queries, judged), short rows filled up with 0, which stands
        for an unjudged document in the one and adds nothing relevant in the other.
        """
        relevant = _relevant_counts(judged, level)
        k = relevance.shape[-1] if self.depth is None else self.depth
        cut = relevance[:, :k]
        if self._formula.binary is None:
            return definitions.graded_ndcg(cut, judged, k)
        values = self._formula.binary(cut >= level, np.maximum(relevant, 1), k)
        without = math.nan if self.convention == "sentence-transformers" else 0.0
        return np.where(relevant > 0, values, without)


def parse_measure(name: str) -> Measure:
    """Measure of a name such as ndcg@10, ndcg_cut_10 or recip_rank; `_FORMULAS` lists the names.

    Raises UsageError, with close matches, for an unknown name and for a depth below 1.
    """
    depth = re.search(r"(?<=[@_])[0-9]{1,9}\Z", name)
    template = name if depth is None else name[: depth.start()] + "k"
    # "map_k" itself is no name, and "010" would be a second name of 10.
    if template not in _FORMULAS or template.endswith(("@k", "_k")) == (depth is None):
        raise _unknown(name)
    if depth is not None and depth[0].startswith("0"):
        wanted = "the number of ranks is an integer of at least 1, without leading zeros"
        raise UsageError("measure", f'"{name}" looks at {depth[0]} ranks', wanted, "Write for example ndcg@10.")
    return Measure(name, _FORMULAS[template].convention, int(depth[0]) if depth else None, _FORMULAS[template])


def _unknown(name: str) -> UsageError:
    digits = re.search(r"[1-9][0-9]{0,8}", name)
    k = digits[0] if digits else "10"
    names = [re.sub(r"(?<=[@_])k\Z", k, template) for template in _FORMULAS]
    lowered = {known.lower(): known for known in names}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3)]
    fix = f"Write {' or '.join(close)}." if close else "Choose one of them, with a number of ranks for k."
    return UsageError("measure", f'"{name}" is unknown', f"the measures are {', '.join(_FORMULAS)}", fix)


def counts(judged: Relevances, convention: Convention, level: int = 1) -> bool:
    """Whether a query with these judgements is part of a mean over queries.

    judged: int32, the relevance of every judged document of the query. sentence-transformers takes the queries with a
    relevant document; trec_eval, called with -c as it should be, every judged one. Either way a query for which nothing
    was retrieved counts, with 0.
    """
    return len(judged) > 0 and (convention == "trec_eval" or bool(_relevant_counts(judged, level) > 0))


def _relevant_counts(judged: Relevances, level: int) -> Counts:
    if level < 1:
        wanted = "it must be at least 1, since 0 also stands for unjudged documents"
        raise UsageError("relevance level", f"it is {level}", wanted, "Give the smallest grade that is relevant.")
    return np.asarray(np.count_nonzero(judged >= level, axis=-1), dtype=np.int64)
