"""Measures by name; the name tells whose definition the measure follows."""

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
from spladelake.names import listed

Convention = Literal["sentence-transformers", "trec_eval", "ir_measures"]


@dataclass(frozen=True)
class _Formula:
    """A binary formula, or the graded one (nDCG) if `binary` is None.

    counts_judged: whether the hits are the judged documents, whatever their grade.
    """

    convention: Convention
    binary: Callable[[Hits, Counts, int], Values] | None
    counts_judged: bool = False


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
    # trec_eval has no such name: this is `trec_eval -M k -m recip_rank`, and MS MARCO's RR@k if no scores tie.
    "recip_rank_cut_k": _Formula("trec_eval", definitions.reciprocal_rank),
    "success_k": _Formula("trec_eval", definitions.success),
    "Judged@k": _Formula("ir_measures", definitions.judged_share, counts_judged=True),
}

# The spellings of ir_measures, which computes these measures with trec_eval's code.
_OF_IR_MEASURES = {
    "nDCG@k": "ndcg_cut_k",
    "RR": "recip_rank",
    "RR@k": "recip_rank_cut_k",
    "AP": "map",
    "AP@k": "map_cut_k",
    "R@k": "recall_k",
    "P@k": "P_k",
    "Success@k": "success_k",
}

CARD_MEASURES: tuple[str, ...] = (
    *(f"{measure}@{k}" for measure in ("accuracy", "precision", "recall") for k in (1, 3, 5, 10)),
    *("ndcg@10", "mrr@10", "map@100"),
)
"""The measures that sentence-transformers' evaluator reports and model cards show."""

DEFAULT_MEASURES: tuple[str, ...] = ("ndcg_cut_10", *CARD_MEASURES)
"""The measures of an evaluation that names none. Graded nDCG, the only one that uses the grades, comes first."""

TREC_MEASURES: tuple[str, ...] = ("ndcg_cut_10", "recip_rank", "map", "recall_100", "recall_1000", "P_10")
"""The usual measures of papers on TREC collections. Only ndcg_cut_10 uses the grades, the others the level."""

MEASURE_SETS: dict[str, tuple[str, ...]] = {
    "card": CARD_MEASURES,
    "trec_eval": TREC_MEASURES,
    "all": (*CARD_MEASURES, *TREC_MEASURES, "recip_rank_cut_10"),
}
"""Names of sets of measures; a list of measures may contain them."""


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names with each set replaced by its members, without repetition.

    Raises UsageError for an unknown name.
    """
    members = (name for given in names for name in MEASURE_SETS.get(given, (given,)))
    return tuple(dict.fromkeys(parse_measure(name).name for name in members))


@dataclass(frozen=True)
class Measure:
    """A measure of one ranking, called as `measure(relevance, judged, level=1)`.

    `parse_measure` makes a measure from its name. depth: the number of ranks that count, None for all.
    """

    name: str
    convention: Convention
    depth: int | None
    _formula: _Formula

    def __call__(self, relevance: Relevances, judged: Relevances, *, level: int = 1) -> float:
        """Return the value of the measure, from 0 to 1.

        - relevance: int32 (ranks), the judged relevance at each rank, best rank first; 0 for unjudged documents.
        - judged: int32, the relevance of every judged document of the query, in any order.
        - level: the smallest relevance that counts as relevant, at least 1; ndcg_cut_k uses the grades and ignores it.

        For a query without a relevant document, trec_eval's value is 0. sentence-transformers leaves such a query out
        of the mean, so its value is nan: callers filter with `counts`, and a mean that did not would be nan too.
        """
        return float(self.of_many(relevance[None], judged[None], level=level)[0])

    def of_many(self, relevance: Relevances, judged: Relevances, *, level: int = 1) -> Values:
        """Return the values of many queries, float64 (queries), equal to one call for each query.

        - relevance: int32 (queries, ranks), short rows padded with 0, as for unjudged documents.
        - judged: int32 (queries, judged), short rows padded with 0, which is never relevant.
        - level: as above.

        If `counts_judged`, relevance is 1 at the rank of each judged document, and judged has one column: the number
        of results of the query.
        """
        if self._formula.counts_judged:
            assert self._formula.binary is not None
            assert self.depth is not None
            return self._formula.binary(relevance[:, : self.depth] > 0, judged[:, 0].astype(np.int64), self.depth)
        relevant = _relevant_counts(judged, level)
        k = relevance.shape[-1] if self.depth is None else self.depth
        cut = relevance[:, :k]
        if self._formula.binary is None:
            return definitions.graded_ndcg(cut, judged, k)
        values = self._formula.binary(cut >= level, np.maximum(relevant, 1), k)
        without = math.nan if self.convention == "sentence-transformers" else 0.0
        return np.where(relevant > 0, values, without)

    @property
    def counts_judged(self) -> bool:
        """Whether the measure says how much of a ranking is judged, not how good it is."""
        return self._formula.counts_judged


def parse_measure(name: str) -> Measure:
    """Return the measure of a name such as ndcg@10, ndcg_cut_10 or recip_rank; `_FORMULAS` lists the names.

    A name of ir_measures, such as nDCG@10, gives the measure with our name for it.

    Raises UsageError for an unknown name, with close matches, and for a depth below 1.
    """
    depth = re.search(r"(?<=[@_])[0-9]{1,9}\Z", name)
    template = name if depth is None else name[: depth.start()] + "k"
    template = _OF_IR_MEASURES.get(template, template)
    # "map_k" itself is not a name.
    if template not in _FORMULAS or template.endswith(("@k", "_k")) == (depth is None):
        raise _unknown(name)
    if depth is not None and depth[0].startswith("0"):
        wanted = "wanted a cutoff of 1 or more, without leading zeros"
        raise UsageError("measure", f'"{name}" has the cutoff {depth[0]}', wanted, "Write a name such as ndcg@10.")
    ours = template if depth is None else f"{template[:-1]}{depth[0]}"
    return Measure(ours, _FORMULAS[template].convention, int(depth[0]) if depth else None, _FORMULAS[template])


def _unknown(name: str) -> UsageError:
    digits = re.search(r"[1-9][0-9]{0,8}", name)
    k = digits[0] if digits else "10"
    names = [re.sub(r"(?<=[@_])k\Z", k, template) for template in (*_FORMULAS, *_OF_IR_MEASURES)]
    # nDCG@10 and ndcg@10 differ in case only: ours comes first.
    lowered = {known.lower(): known for known in reversed(names)}
    close = [lowered[match] for match in _closest(name.lower(), list(lowered))]
    fix = f"Write {' or '.join(close)}." if close else "Write a name such as ndcg@10."
    return UsageError("measure", f'there is no measure "{name}"', f"wanted {listed(_FORMULAS)}", fix)


def _closest(name: str, known: list[str]) -> list[str]:
    """Return at most three known names: the most similar, and others that are nearly as similar or begin with it."""
    matches = difflib.get_close_matches(name, known, n=3)
    likeness = [difflib.SequenceMatcher(None, match, name).ratio() for match in matches]
    pairs = zip(matches, likeness, strict=True)
    return [match for match, ratio in pairs if ratio > likeness[0] - 0.1 or match.startswith(name)]


def counts(judged: Relevances, convention: Convention, level: int = 1) -> bool:
    """Return whether a query with these judgements is part of the mean over queries.

    sentence-transformers counts the queries with a relevant document, trec_eval (with its option -c) every judged
    query. Under both, a query without results counts, with the value 0.

    - judged: int32, the relevance of every judged document of the query.
    - convention: whose rule decides.
    - level: the smallest relevance that counts as relevant.
    """
    if convention != "sentence-transformers":
        return len(judged) > 0
    return len(judged) > 0 and bool(_relevant_counts(judged, level) > 0)


def _relevant_counts(judged: Relevances, level: int) -> Counts:
    if level < 1:
        wanted = "wanted a level of 1 or more, because unjudged documents have the grade 0"
        fix = "Give the smallest grade that counts as relevant."
        raise UsageError("relevance level", f"the level is {level}", wanted, fix)
    return np.asarray(np.count_nonzero(judged >= level, axis=-1), dtype=np.int64)
