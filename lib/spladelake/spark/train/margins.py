"""The scores of several teachers as one, and the margins between positives and negatives."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.spark.train.pair_texts import names_places, negative_columns, negatives

KEYS = ["query_id", "doc_id"]
# Type in which scores are summed to scale teachers: a decimal sum does not depend on the order of the rows.
EXACT = "decimal(38,12)"


def averaged(scores: DataFrame, model_ids: list[str], *, scaled: bool) -> DataFrame:
    """Return (query_id, doc_id, score): the mean score over the teachers of each pair that all teachers score.

    - scores: (model_id, query_id, doc_id, score).
    - model_ids: the teachers.
    - scaled: give each teacher the mean and standard deviation of the first before averaging, taken over the returned
      pairs. The scores of a teacher without deviation become the first teacher's mean.
    """
    of = [
        F.max(F.when(F.col("model_id") == name, F.col("score"))).alias(f"score_{i}") for i, name in enumerate(model_ids)
    ]
    wide = scores.groupBy(*KEYS).agg(*of).dropna()
    columns = [F.col(f"score_{i}") for i in range(len(model_ids))]
    if scaled and len(columns) > 1:
        exact = [column.cast(EXACT) for column in columns]
        sums = wide.agg(
            F.count("*").alias("rows"),
            *(F.sum(column).cast("double").alias(f"sum_{i}") for i, column in enumerate(exact)),
            *(F.sum((c * c).cast(EXACT)).cast("double").alias(f"square_{i}") for i, c in enumerate(columns)),
        ).first()
        assert sums is not None
        count = max(1, sums["rows"])
        means = [(sums[f"sum_{i}"] or 0.0) / count for i in range(len(columns))]
        spreads = [max(0.0, (sums[f"square_{i}"] or 0.0) / count - mean * mean) ** 0.5 for i, mean in enumerate(means)]
        columns = [
            (column - means[i]) * (spreads[0] / spreads[i]) + means[0] if spreads[i] else F.lit(means[0])
            for i, column in enumerate(columns)
        ]
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return wide.select(*KEYS, (total / len(columns)).alias("score"))


def with_margins(pairs: DataFrame, scores: DataFrame) -> DataFrame:
    """Return rows of `scored_pairs`: the pairs whose positive has a score, without the negatives that have none.

    If the pairs name places, so do the rows.
    """
    places = names_places(pairs)
    keys = ["query_id", "pos_id", *(["pos_start", "pos_end"] if places else [])]
    each = pairs.select(*keys, F.posexplode(negatives(pairs)).alias("place", "text"))
    each = each.select(*keys, "place", "text", "text.doc_id").join(scores, KEYS)
    listed = F.sort_array(F.collect_list(F.struct("place", "text", "score"))).alias("listed")
    positives = scores.select("query_id", F.col("doc_id").alias("pos_id"), F.col("score").alias("pos_score"))
    rows = each.groupBy(*keys).agg(listed).join(positives, ["query_id", "pos_id"])
    neg_scores = F.col("listed.score")
    return rows.withColumn("texts", F.col("listed.text")).select(
        *keys,
        *negative_columns("texts", places=places),
        "pos_score",
        neg_scores.alias("neg_scores"),
        F.transform(neg_scores, lambda score: F.col("pos_score") - score).alias("margins"),
    )
