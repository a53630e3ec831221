"""The recipe for Kubernetes: the manifest names a job and options that exist, the image what the manifest expects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

import spladelake
from spladelake.commands.docs import pages
from spladelake.config import JOBS, checked
from spladelake.spark_versions import DELTA_FOR, release

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / "conf" / "kubernetes"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "encode_texts.yaml").read_text(encoding="utf-8"))
    return found


def test_the_manifest_runs_a_job_with_options_that_it_takes() -> None:
    found = manifest()
    assert (found["apiVersion"], found["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    file = Path(found["spec"]["mainApplicationFile"].removeprefix("local://"))
    assert (REPOSITORY / "jobs" / file.name).is_file()
    assert f"COPY jobs {file.parent}\n" in DOCKERFILE
    words = found["spec"]["arguments"]
    given = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }
    options = checked(JOBS[file.stem].options, given, place="manifest")
    assert options.model_dump()["lake"] == "s3a://bucket/lake"


def test_image_and_manifest_have_one_supported_spark_and_delta_is_configured() -> None:
    spec = manifest()["spec"]
    assert f"ARG SPARK={spec['sparkVersion']}\n" in DOCKERFILE
    assert release(spec["sparkVersion"]) in DELTA_FOR
    profile = (REPOSITORY / "conf" / "cluster.conf").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(spark\.\S+)\s+(\S+)$", profile, re.MULTILINE))
    assert spec["sparkConf"].items() <= settings.items()
    assert spec["image"] in DOCKERFILE
    assert spec["image"] in pages()["platforms"].text
    assert spec["image"].endswith(f":{spladelake.__version__}")


def test_the_image_copies_files_that_are_there_and_installs_no_second_spark() -> None:
    for sources in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((REPOSITORY / name).exists() for name in sources.split())
    installed = " ".join(re.findall(r"pip install (.+?)(?:\\|\n)", DOCKERFILE))
    assert "pyspark" not in installed
    assert "[spark]" not in installed
