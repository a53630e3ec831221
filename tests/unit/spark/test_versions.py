"""Pairs of Spark and Delta: which fit, and what is said of those that do not."""

from __future__ import annotations

import pytest

from spladelake.errors import MachineError
from spladelake.spark_versions import check_builds, check_one_spark, check_package, check_pyspark, release


@pytest.mark.parametrize("version", ["4.0.0", "4.0.1-amzn-0", "4.1.4", "4.2.0", "4.3.0"])
def test_spark_4_is_accepted(version: str) -> None:
    check_pyspark(version)


@pytest.mark.parametrize("version", ["3.5.9", "3.5.2-databricks", "2.4.8"])
def test_an_older_spark_is_refused_with_the_versions_that_fit(version: str) -> None:
    with pytest.raises(MachineError, match=r"wanted pyspark 4\.0\.1 to 4\.2") as refused:
        check_pyspark(version)
    assert version in str(refused.value)
    assert "pip install 'pyspark>=4.0.1,<4.3'" in refused.value.fix


@pytest.mark.parametrize(
    ("given", "spark"),
    [
        ("/opt/jars/delta-spark_4.0_2.13-4.4.0.jar,/opt/jars/delta-storage-4.4.0.jar", "4.0.5"),
        ("jar:file:/usr/lib/delta-spark_4.1_2.13-4.2.0.jar!/io/delta/sql/DeltaSparkSessionExtension.class", "4.1.1"),
        ("io.delta:delta-spark_2.13:4.0.1", "4.0.1"),
        ("io.delta:delta-spark_4.2_2.13:4.4.0,org.apache.hadoop:hadoop-aws:3.5.0", "4.2.0"),
        # A platform's own name tells nothing, and neither does a text without Delta.
        ("/usr/share/aws/delta/lib/delta-spark-4.0.0-amzn-1.jar", "4.0.1-amzn-0"),
        ("", "4.2.0"),
    ],
)
def test_a_build_for_this_spark_or_of_unknown_name_is_accepted(given: str, spark: str) -> None:
    check_builds([given], spark)


@pytest.mark.parametrize(
    ("given", "spark", "found", "fits"),
    [
        ("delta-spark_4.2_2.13-4.4.0.jar", "4.0.1", "built for Spark 4.2", "Delta 4.0 to 4.4 for Spark 4.0"),
        ("io.delta:delta-spark_2.13:4.0.1", "4.1.4", "built for Spark 4.0", "Delta 4.1 to 4.4 for Spark 4.1"),
        ("io.delta:delta-spark_2.13:3.3.2", "4.2.0", "built for Spark 3.5", "Delta 4.4 for Spark 4.2"),
        ("/jars/delta-spark_2.12-3.3.2.jar", "4.0.5", "built for Scala 2.12", "Delta 4.0 to 4.4 for Spark 4.0"),
        ("delta-core_2.12-2.4.0.jar", "4.2.0", "built for Scala 2.12", "Delta 4.4 for Spark 4.2"),
        ("delta-spark_4.2_2.13-4.4.0.jar", "4.3.0", "built for Spark 4.2", "Spark 4.1 with Delta 4.1 to 4.4"),
    ],
)
def test_a_build_for_another_spark_or_scala_is_refused(given: str, spark: str, found: str, fits: str) -> None:
    with pytest.raises(MachineError) as refused:
        check_builds(["", f"/a/other.jar,{given}"], spark)
    assert found in str(refused.value)
    assert fits in refused.value.fix


def test_pyspark_and_the_spark_in_java_are_of_one_release() -> None:
    check_one_spark("4.0.5", "4.0.1-amzn-0")
    with pytest.raises(MachineError, match=r"pyspark is 4\.2\.0, but the Spark that runs is 4\.0\.1"):
        check_one_spark("4.2.0", "4.0.1")


def test_the_package_of_an_older_delta_is_refused() -> None:
    for fine in (None, "4.0.1", "4.4.1"):
        check_package(fine, "4.0.1")
    with pytest.raises(MachineError, match=r"delta-spark: the installed version is 3\.3\.3"):
        check_package("3.3.3", "4.2.0")


@pytest.mark.parametrize(("version", "wanted"), [("4.0.1-amzn-0", "4.0"), ("4.10", "4.10"), ("15", ""), ("", "")])
def test_a_release_is_the_first_two_numbers(version: str, wanted: str) -> None:
    assert release(version) == wanted
