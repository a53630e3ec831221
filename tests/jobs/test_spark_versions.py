"""The tests marked every_spark, on the oldest supported releases of Spark, each in an environment of its own.

SPLADELAKE_SPARK_ENVS names environments that are there already: 4.0=/path/of/venv,4.1=/path/of/another. For other
releases the test makes one: pyspark comes from a package registry, all else from the environment of this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from support.connect import LIB
from support.processes import REPOSITORY, environment

# The oldest release that is supported, and one between it and the one that the other tests run on. For each the way of
# asking Delta's log that is left out, so that both together have all.
RELEASES = {"4.0": "4.0.1", "4.1": "4.1.4"}
LEFT_OUT = {"4.0": "public", "4.1": "classes"}
SMOKE = (
    "tests/spark/test_every_job.py",
    "tests/spark/test_functions.py",
    "tests/spark/test_arrow_functions.py",
    "tests/spark/test_delta_log.py",
)
FOUND = "import pyspark, delta, spladelake; print(pyspark.__version__, pyspark.__file__, spladelake.__file__)"


def interpreter(release: str, folder: Path) -> str:
    """The interpreter of an environment with a release of pyspark; skips the test if none can be made."""
    named = dict(entry.split("=", 1) for entry in os.environ.get("SPLADELAKE_SPARK_ENVS", "").split(",") if entry)
    if release in named:
        return str(Path(named[release]) / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--no-deps", "--retries", "1", f"pyspark=={RELEASES[release]}"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        pytest.skip(f"pyspark {RELEASES[release]} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    (own,) = (folder / "lib").glob("python*/site-packages")
    # Packages of this process come after, so that the environment's own pyspark is found first.
    (own / "others.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n", encoding="utf-8")
    return str(folder / "bin" / "python")


pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def smoke(release: str, folder: Path) -> None:
    python = interpreter(release, folder / "env")
    env = {name: value for name, value in environment(PYTHONPATH=LIB).items() if name != "SPARK_HOME"}
    looked = subprocess.run([python, "-c", FOUND], env=env, capture_output=True, text=True, check=True).stdout.split()
    assert looked[0].startswith(f"{release}."), "the environment's own pyspark is found first"
    assert looked[2].startswith(str(REPOSITORY)), "the code under test is this checkout"
    options = ("-q", "-p", "no:cacheprovider", "-m", "every_spark", "-k", f"not {LEFT_OUT[release]}")
    line = [python, "-m", "pytest", *options, *SMOKE]
    done = subprocess.run(line, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=2900, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


# Two tests, so that the parts of the slow tests share them.
def test_every_job_update_resume_and_function_works_on_spark_4_0(tmp_path: Path) -> None:
    smoke("4.0", tmp_path)


def test_every_job_update_resume_and_function_works_on_spark_4_1(tmp_path: Path) -> None:
    smoke("4.1", tmp_path)
