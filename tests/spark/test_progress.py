"""What a person sees while a step runs: a line on the terminal, and jobs with names in the Spark UI."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spladelake.spark.session.progress import stage_text
from spladelake.spark.session.step_descriptions import describe, step_description


def test_the_line_of_tasks_adds_up_the_stages_and_takes_the_time_of_the_slowest() -> None:
    # 10 s for 4 of 8 tasks leave 10 s; 30 s for 1 of 3 leave 60 s. 4/10 + 1/30 tasks a second.
    assert stage_text("encode", [(4, 8, 10.0), (1, 3, 30.0)]) == "encode: 5 of 11 tasks, 0.4/s, 60 s left"
    assert stage_text("encode", [(0, 200, 3.0)]) == "encode: 0 of 200 tasks"


def test_jobs_in_the_spark_ui_begin_with_the_step_and_later_ones_do_not(spark: SparkSession) -> None:
    def description() -> str | None:
        """What Spark takes for the description of the next job."""
        return spark.sparkContext.getLocalProperty("spark.job.description")

    with step_description(spark, "encode_texts"):
        assert description() == "encode_texts"
        describe(spark, "encode documents")
        assert description() == "encode_texts: encode documents"
        describe(spark)
        assert description() == "encode_texts"
    assert not description()
