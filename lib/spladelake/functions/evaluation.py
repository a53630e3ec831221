"""Functions that measure rankings and compare systems, as plans over DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain, combinations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, NumericType, StringType

from spladelake.config.comparison import PERMUTATIONS_DEFAULT
from spladelake.errors import UsageError
from spladelake.files.guesses import guess
from spladelake.functions.columns import check_frame, found_column, id_column
from spladelake.measures import DEFAULT_MEASURES, MEASURE_SETS, parse_measure
from spladelake.measures.judged import TrecScores
from spladelake.names import suggestion
from spladelake.spark.evaluate.frames import means, query_values
from spladelake.spark.evaluate.paired_tests import compared_pairs_frame, deltas
from spladelake.spark.evaluate.whole_queries import MeasureSettings
from spladelake.spark.tables.sql_text import quoted

_COMPARED = (
    "measure", "run_a", "run_b", "queries", "difference", "wins", "ties", "losses", "t", "t_p", "t_p_holm",
    "randomisation_p", "randomisation_p_holm",
)  # fmt: skip


_HELD = {"query_id": "ids of queries", "doc_id": "ids of documents", "score": "scores", "relevance": "grades"}


def evaluate(
    run: DataFrame,
    qrels: DataFrame,
    measures: Sequence[str] | str = DEFAULT_MEASURES,
    *,
    per_query: bool = False,
    relevance_level: int = 1,
    trec_scores: TrecScores = "float32",
) -> DataFrame:
    """Return (measure, value, queries): the mean of each measure over the judged queries, in the given order.

        sl.evaluate(run, qrels, measures=["nDCG@10", "RR@10", "R@1000"]).show()

    With `per_query` the result is (query_id, measure, value) of each query, query_id as text.

    - run: query_id, doc_id and score. The scores rank the documents, by the tie rule of each measure's convention.
    - qrels: query_id, doc_id and relevance; without a column of grades each pair has grade 1. Columns with usual names
      are found, such as qid, docno and label.
    - measures: names of this project, of trec_eval and of ir_measures, or card, trec_eval and all for sets of them.
    - per_query: whether to return the values of each query instead of the means.
    - relevance_level: lowest grade that counts as relevant in binary measures.
    - trec_scores: precision in which the measures of trec_eval compare scores, as in evaluate_run.

    Raises UsageError for an unknown measure, and for a column that is missing or of another type. A task raises
    DataError for a document that a query lists or judges twice, for a null id and for a score that is not a number.
    """
    if isinstance(relevance_level, bool) or not isinstance(relevance_level, int) or relevance_level < 1:
        found = f"the value is {relevance_level!r}"
        raise UsageError(
            "evaluate, relevance_level",
            found,
            "wanted a whole number of 1 or more",
            "Give the lowest grade that counts as relevant.",
        )
    if trec_scores not in ("float32", "float64"):
        wanted = "wanted float32 or float64"
        raise UsageError("evaluate, trec_scores", f"the value is {trec_scores!r}", wanted, "Choose one of them.")
    given = _measures(measures)
    settings = MeasureSettings(tuple(given), relevance_level, trec_scores)
    values = query_values(_run(run, "run"), _judgements(qrels), settings)
    label = F.create_map(*map(F.lit, chain.from_iterable(given.items())))
    if per_query:
        return values.where("query_id IS NOT NULL").select(
            "query_id", label[F.col("measure")].alias("measure"), "value"
        )
    place = F.create_map(*map(F.lit, chain.from_iterable((name, n) for n, name in enumerate(given))))
    ordered = means(values).orderBy(place[F.col("measure")]).limit(len(given))
    return ordered.select(label[F.col("measure")].alias("measure"), "value", "queries")


def _measures(measures: Sequence[str] | str) -> dict[str, str]:
    """Return the name that the caller gave to each measure, by our name of the measure."""
    names = [name.strip() for name in measures.split(",")] if isinstance(measures, str) else list(measures)
    given: dict[str, str] = {}
    for name in names:
        for one in MEASURE_SETS.get(name, (name,)):
            given.setdefault(parse_measure(one).name, one)
    if not given:
        raise UsageError(
            "measures", "the list is empty", "wanted one or more measures", "Name a measure such as nDCG@10."
        )
    return given


def _run(run: DataFrame, place: str) -> DataFrame:
    ids = _ids(run, "runs", place)
    score = found_column(run, None, kind="runs", column="score", place=place, fix=_renamed("score"))
    kind = run.schema[score].dataType
    if not isinstance(kind, NumericType):
        raise _no_number(place, score, kind, column="score")
    return run.select(*ids, F.lit(0).alias("rank"), F.col(quoted(score)).cast("double").alias("score"))


def _judgements(qrels: DataFrame) -> DataFrame:
    ids = _ids(qrels, "judgements", "qrels")
    name = guess("judgements", "relevance", qrels.columns)
    if name is None:
        if len(qrels.columns) > 2:
            found_column(qrels, None, kind="judgements", column="relevance", place="qrels", fix=_renamed("relevance"))
        return qrels.select(*ids, F.lit(1.0).alias("relevance"))
    kind = qrels.schema[name].dataType
    if not isinstance(kind, (NumericType, BooleanType, StringType)):
        raise _no_number("qrels", name, kind, column="relevance")
    grade = F.col(quoted(name)).cast("int") if isinstance(kind, BooleanType) else F.col(quoted(name))
    return qrels.select(*ids, grade.try_cast("double").alias("relevance"))


def _ids(frame: DataFrame, kind: str, place: str) -> list[Column]:
    """Return query_id and doc_id as strings."""
    check_frame(frame, place)
    found = []
    for column in ("query_id", "doc_id"):
        ids = id_column(frame, None, kind=kind, column=column, place=place, fix=_renamed(column))
        found.append(ids.text.alias(column))
    return found


def _renamed(column: str) -> str:
    return f"Rename the column of the {_HELD[column]} to {column}."


def _no_number(place: str, name: str, kind: DataType, *, column: str) -> UsageError:
    """Return the error for a column `name` that was taken as `column`, but holds no numbers."""
    castable = isinstance(kind, (BooleanType, StringType))
    fix = "Cast the column to double" if castable else "Replace the column by one with a number in each row"
    other = "" if name == column else f", or rename the column of the {_HELD[column]} to {column}"
    found = f"the type is {kind.simpleString()}"
    return UsageError(f"{place}, column {name!r}", found, "wanted a number in each row", f"{fix}{other}.")


def compare(
    runs: Mapping[str, DataFrame] | Sequence[DataFrame],
    qrels: DataFrame,
    *,
    baseline: str | None = None,
    measures: Sequence[str] | str = ("nDCG@10",),
    relevance_level: int = 1,
    permutations: int = PERMUTATIONS_DEFAULT,
    seed: int = 0,
) -> DataFrame:
    """Return the tests of every pair of runs: one row for each measure and pair, as compare_runs writes them.

        sl.compare({"bm25": first, "splade": second}, qrels, baseline="bm25").show()

    The columns are measure, run_a, run_b, queries, difference (mean of run_b less mean of run_a), wins, ties and losses
    of run_b, t and t_p of the paired t-test, randomisation_p of the randomisation test, and both p corrected by Holm's
    method for the number of pairs of the measure.

    - runs: the runs by name, or a list, whose runs are named run_1, run_2 and so on.
    - qrels, relevance_level: as in `evaluate`.
    - baseline: compares every other run with this run (default: all pairs).
    - measures: as in `evaluate`.
    - permutations, seed: of the randomisation test.

    Raises UsageError as `evaluate` does, and for fewer than two runs or an unknown baseline.
    """
    named = dict(runs) if isinstance(runs, Mapping) else {f"run_{n}": run for n, run in enumerate(runs, start=1)}
    if len(named) < 2:
        raise UsageError(
            "compare, runs", f"the number of runs is {len(named)}", "wanted two or more", "Give another run."
        )
    if baseline is not None and baseline not in named:
        found = f"there is no run {baseline!r}"
        raise UsageError("compare, baseline", found, suggestion(baseline, named), "Name one of the runs.")
    given, judgements = _measures(measures), _judgements(qrels)
    settings = MeasureSettings(tuple(given), relevance_level)
    values = [
        query_values(_run(run, place := f"run {name!r}"), judgements, settings, places=(place, "qrels"))
        .where("query_id IS NOT NULL")
        .select(F.lit("").alias("collection"), F.lit(name).alias("run_id"), "measure", "query_id", "value")
        for name, run in named.items()
    ]
    pairs = [(baseline, name) for name in named if name != baseline] if baseline else list(combinations(named, 2))
    together = reduce(DataFrame.unionAll, values)
    differences = deltas(qrels.sparkSession, together, [("", *pair) for pair in pairs])
    pairs_tested = compared_pairs_frame(differences, permutations=permutations, seed=seed)
    label = F.create_map(*map(F.lit, chain.from_iterable(given.items())))
    return pairs_tested.select(label[F.col("measure")].alias("measure"), *_COMPARED[1:]).orderBy(*_COMPARED[:3])
