"""Evaluation as a plan over DataFrames: nothing is read before an action, and nothing is kept in the driver.

One shuffle brings the rows of a run and the judgements of a query together. A worker measures whole queries by the
functions with which the driver evaluates small runs.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.spark.evaluate.whole_queries import MEASURED_DDL, MeasureGroups, MeasureSettings
from spladelake.spark.session.arrow_functions import map_arrow

_NO_QUERY = (
    "spladelake.errors.DataError: run: no query of the run is judged; wanted judgements for the run's queries. "
    "Check that the run and the qrels belong to one collection and use the same ids."
)


def query_values(
    run: DataFrame,
    judgements: DataFrame,
    settings: MeasureSettings,
    *,
    places: tuple[str, str] = ("run", "qrels"),
    tasks: int | None = None,
) -> DataFrame:
    """Return the MEASURED rows of every judged query that counts under the measure's convention, and of the counts.

    - run: (query_id string, doc_id string, rank int, score double). Ranks are used for counts only.
    - judgements: (query_id string, doc_id string, relevance double).
    - places: the two tables, for messages.
    - tasks: number of measuring tasks; None leaves it to Spark.

    A task raises DataError for unusable rows.
    """
    none = {name: F.lit(None).cast(kind).alias(name) for name, kind in (("rank", "int"), ("score", "double"))}
    of_run = run.select(
        "query_id", "doc_id", "rank", "score", F.lit(None).cast("double").alias("relevance"),
        F.lit(False).alias("is_judgement"),
    )  # fmt: skip
    judged = judgements.select("query_id", "doc_id", *none.values(), "relevance", F.lit(True).alias("is_judgement"))
    rows = of_run.unionAll(judged)
    both = rows.repartition("query_id") if tasks is None else rows.repartition(tasks, "query_id")
    return map_arrow(both.sortWithinPartitions("query_id"), MeasureGroups(settings, *places), MEASURED_DDL)


def means(values: DataFrame) -> DataFrame:
    """Return (measure, value, queries): the mean of each measure and the number of its queries.

    - values: the rows of `query_values`. The plan raises an error if the run has no document of any judged query.
    """
    value = F.when(F.max("answered"), F.avg("value")).otherwise(F.raise_error(F.lit(_NO_QUERY)).cast("double"))
    of_queries = values.where("query_id IS NOT NULL")
    return of_queries.groupBy("measure").agg(value.alias("value"), F.count("*").cast("int").alias("queries"))
