"""The cost of a compaction in effectiveness: queries are ranked over the original and over the compacted vectors."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.compaction import Compaction, Statistics, error_bound
from spladelake.measures.significance import paired_test
from spladelake.passages.aggregate import Aggregate
from spladelake.scoring import compile_kernels
from spladelake.spark.compact.worker import CompactRows
from spladelake.spark.encode.texts import vectors_schema
from spladelake.spark.evaluate.frames import query_values
from spladelake.spark.evaluate.whole_queries import MeasureSettings
from spladelake.spark.retrieve.blocks import Corpus, ranked_in_blocks, set_batch_size
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.passes import Asked
from spladelake.spark.retrieve.query_rows import QueryBatch
from spladelake.spark.retrieve.vector_checks import largest_weight
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.totals import Totals

TASK_BYTES = 256 * 2**20
_ADDED = "dropped float, cluster array<int>"

Values = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Trial:
    """One compaction that was tried.

    - postings: number of postings that it leaves.
    - dropped: largest weight that it leaves out.
    - values: value of each measure by query.
    - largest_error: largest change of a score among the documents that both rankings list.
    - error_bound: upper bound for the change of any score.
    """

    how: Compaction
    postings: int
    dropped: float
    values: Values
    largest_error: float
    error_bound: float

    def mean(self, measure: str) -> float:
        """Return the mean of a measure over its queries; NaN if no query was measured."""
        return float(np.mean(list(self.values[measure].values()))) if self.values.get(measure) else float("nan")


@dataclass(frozen=True)
class Judged:
    """The queries and measures of all trials.

    - judgements: (query_id, doc_id, relevance); None if there are none.
    - k: number of documents to rank for each query.
    """

    queries: QueryBatch
    judgements: DataFrame | None
    measures: tuple[str, ...]
    k: int


class Trials:
    """Compactions of one table of document vectors, tried one after the other."""

    def __init__(self, session: SparkSession, rows: DataFrame, judged: Judged, *, place: str) -> None:
        self.session, self.rows, self.judged, self.place = session, rows, judged, place
        compile_kernels()
        set_batch_size(session)
        with ExitStack() as kept:
            self._ranking = kept_on_disk(self._ranked(rows), kept)
            postings = rows.agg(F.coalesce(F.sum(F.size("indices")), F.lit(0)).alias("n")).first()
            assert postings is not None
            self.original = Trial(Compaction(), int(postings["n"]), 0.0, self._values(self._ranking), 0.0, 0.0)
            self._kept = kept.pop_all()

    def compacted(self, how: Compaction, statistics: Statistics) -> DataFrame:
        """Return the rows of `vectors` under a compaction, with `dropped` and `cluster`."""
        function = CompactRows(how, statistics, self.place, self.judged.queries.vocabulary_size)
        schema = vectors_schema(self.rows)
        ddl = ", ".join([*(f"`{c.name}` {c.type}" for c in schema.columns), _ADDED])
        return map_arrow(self.rows.select(*schema.column_names), function, ddl)

    def measure(self, how: Compaction, statistics: Statistics) -> Trial:
        """Rank all queries over the compacted vectors; return the trial."""
        if how.is_lossless:
            return self.original
        with ExitStack() as kept:
            rows = kept_on_disk(self.compacted(how, statistics), kept)
            found = rows.agg(
                F.coalesce(F.sum(F.size("indices")), F.lit(0)).alias("postings"),
                F.coalesce(F.max("dropped"), F.lit(0.0)).alias("dropped"),
            ).first()
            assert found is not None
            ranking = kept_on_disk(self._ranked(rows), kept)
            values = self._values(ranking)
            error = self._largest_error(ranking)
        dropped = float(found["dropped"])
        bound = self._bound(how, statistics, dropped)
        return Trial(how, int(found["postings"]), dropped, values, error, bound)

    def tests(self, trial: Trial, *, permutations: int) -> dict[str, dict[str, Any]]:
        """Return for each measure the means before and after, their ratio, and the p-values of the difference."""
        found = {}
        for number, (measure, before) in enumerate(self.original.values.items()):
            after = trial.values[measure]
            differences = np.array([after[query] - before[query] for query in sorted(before)])
            test = paired_test(differences, permutations=permutations, seed=[42, number])
            mean = self.original.mean(measure)
            found[measure] = {
                "before": mean,
                "after": trial.mean(measure),
                "ratio": trial.mean(measure) / mean if mean else 1.0,
                "t_p": test.t_p,
                "randomisation_p": test.randomisation_p,
            }
        return found

    def close(self) -> None:
        """Free the ranking that is kept on disk."""
        self._kept.close()

    def _ranked(self, rows: DataFrame) -> DataFrame:
        corpus = Corpus(
            rows.select("id", "indices", "values", F.lit(1).alias("groups")), is_index=False, place=self.place
        )
        totals = self.session.sparkContext.accumulator({}, Totals())
        # Documents are judged, so the ranking is by their best passages.
        asked = [Asked(Kept(self.judged.k, False, 0.0, Aggregate() if "passage" in rows.columns else None))]
        ranked = ranked_in_blocks(
            self.session, self.judged.queries, corpus, asked, totals=totals, task_bytes=TASK_BYTES
        )
        return ranked.select("query_id", "doc_id", "rank", "score")

    def _values(self, ranking: DataFrame) -> Values:
        judged = self.judged
        if judged.judgements is None:
            return {}
        graded = judged.judgements.withColumn("relevance", F.col("relevance").cast("double"))
        found = query_values(ranking, graded, MeasureSettings(judged.measures, 1))
        rows = found.where("query_id IS NOT NULL").collect()
        values: Values = {name: {} for name in judged.measures}
        for row in rows:
            values[row["measure"]][row["query_id"]] = float(row["value"])
        return values

    def _largest_error(self, ranking: DataFrame) -> float:
        after = ranking.select("query_id", "doc_id", F.col("score").alias("after"))
        both = self._ranking.join(after, ["query_id", "doc_id"])
        row = both.agg(F.coalesce(F.max(F.abs(F.col("after") - F.col("score"))), F.lit(0.0)).alias("error")).first()
        assert row is not None
        return float(row["error"])

    def _bound(self, how: Compaction, statistics: Statistics, dropped: float) -> float:
        """Return an upper bound for the change of any score, from the best score and the heaviest query."""
        bound = error_bound(how, statistics, largest_dropped=dropped)
        best = self._ranking.agg(F.coalesce(F.max("score"), F.lit(0.0)).alias("score")).first()
        assert best is not None
        vectors = self.judged.queries.vectors
        sums = [float(vectors.row(i)[1].sum(dtype=np.float64)) for i in range(len(vectors))]
        return float(best["score"]) * bound.relative + max(sums, default=0.0) * bound.absolute


def statistics_of(rows: DataFrame, how: Compaction, *, vocabulary_size: int) -> Statistics:
    """Return the largest weight and, if the compaction needs them, the threshold of each term."""
    largest = largest_weight(rows)
    if not how.term_quantile:
        return Statistics(largest)
    postings = rows.select(F.explode(F.arrays_zip("indices", "values")).alias("p"))
    found = postings.groupBy(F.col("p.indices").alias("term_id")).agg(
        F.percentile_approx("p.values", how.term_quantile).alias("threshold")
    )
    thresholds = np.zeros(vocabulary_size, dtype=np.float32)
    for term in found.toLocalIterator():
        thresholds[term["term_id"]] = term["threshold"]
    return Statistics(largest, thresholds)
