"""Every setting of the profiles, those in comments too, is one that the Spark, Delta or Hadoop beside them knows."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

CONF = Path(__file__).resolve().parents[3] / "conf"
SPARK = find_spec("pyspark")  # found, not imported: only its jars are read
assert SPARK is not None
assert SPARK.origin is not None
JARS = Path(SPARK.origin).parent / "jars"
# Built by Spark from a name that the user chooses: a kind of resource, a catalog.
BUILT = (
    r"spark\.executor\.resource\.gpu\.(amount|discoveryScript|vendor)",
    r"spark\.task\.resource\.gpu\.amount",
    r"spark\.sql\.catalog\.spark_catalog",
    # Delta's own, in jars that are not part of pyspark; its documentation has them under these names.
    r"spark\.databricks\.delta\.snapshotPartitions",
    r"spark\.delta\.logStore\.s3a\.impl",
)


def settings(file: Path) -> Iterator[str]:
    """Keys of a properties file, also of lines that are to be uncommented."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(?:# ?)?(spark\.[\w.]+)\s{2,}\S", line):
            yield found[1]


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Strings in the classes of Spark that define settings, and the names in Hadoop's core-default.xml."""
    found: set[str] = set()
    for jar in ("spark-core", "spark-sql_", "spark-sql-api", "spark-catalyst", "spark-common-utils_"):
        (path,) = JARS.glob(f"{jar}*.jar")
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if re.search(r"(/internal/config/|SQLConf|StaticSQLConf|internal/config/package|SparkConf)", name):
                    strings = re.findall(rb"spark\.[A-Za-z][\w.]+", archive.read(name))
                    found |= {string.decode() for string in strings}
    (path,) = JARS.glob("hadoop-client-api-*.jar")
    with zipfile.ZipFile(path) as archive:
        names = re.findall(r"<name>([\w.-]+)</name>", archive.read("core-default.xml").decode())
    return found | {f"spark.hadoop.{name}" for name in names}


@pytest.mark.parametrize("file", sorted(CONF.glob("*.conf")), ids=lambda file: file.name)
def test_spark_knows_every_setting_of_a_profile(file: Path, known: set[str]) -> None:
    keys = list(settings(file))
    assert keys
    unknown = [key for key in keys if key not in known and not any(re.fullmatch(b, key) for b in BUILT)]
    assert not unknown


def test_the_classes_that_the_samples_name_are_in_the_jars_of_spark() -> None:
    text = (CONF / "metrics.properties").read_text(encoding="utf-8")
    (core,) = JARS.glob("spark-core*.jar")
    with zipfile.ZipFile(core) as archive:
        classes = set(archive.namelist())
    named = re.findall(r"^\S+\.class=(\S+)$", text, re.MULTILINE)
    assert len(named) == 3
    assert all(f"{name.replace('.', '/')}.class" in classes for name in named)
    (template,) = JARS.glob("log4j-layout-template-json-*.jar")
    with zipfile.ZipFile(template) as archive:
        assert "EcsLayout.json" in archive.namelist()


def test_the_hadoop_version_of_the_s3_profile_is_that_of_sparks_jars() -> None:
    (client,) = JARS.glob("hadoop-client-api-*.jar")
    version = client.stem.removeprefix("hadoop-client-api-")
    assert f"hadoop-aws:{version}\n" in (CONF / "s3.conf").read_text(encoding="utf-8")
