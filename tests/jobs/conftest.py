"""Commands as a user starts them: processes of their own, in a folder of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest

from spladelake.spark.session.class_archive import archive_options
from spladelake.spark.session.start import java_version
from support.processes import REPOSITORY, SUBMIT_ENVIRONMENT, Lakes, command, environment, make_lakes


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON of the last line on stdout."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


Command = Callable[..., Finished]


def run(arguments: list[str], *, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 280) -> Finished:
    whole = environment(**(env or {}))
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env=whole,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def spladelake(tmp_path: Path) -> Command:
    """Run the command line: `spladelake("encode_texts", "--lake", "x", env={…})`. stop_at: as `command` takes it."""

    def call(*arguments: str, env: Mapping[str, str] | None = None, stop_at: str | None = None) -> Finished:
        return run(command(*arguments, stop_at=stop_at), cwd=tmp_path, env=env)

    return call


@pytest.fixture
def submit_line() -> Callable[..., list[str]]:
    """The line that runs a file of jobs/ with pyspark's own spark-submit."""
    submit = shutil.which("spark-submit", path=SUBMIT_ENVIRONMENT["PATH"])
    assert submit, "pyspark installs spark-submit beside the interpreter"

    def line(job: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        return [submit, *options, str(REPOSITORY / "jobs" / f"{job}.py"), *arguments]

    return line


@pytest.fixture
def spark_submit(tmp_path: Path, submit_line: Callable[..., list[str]]) -> Command:
    """Run a file of jobs/ with pyspark's own spark-submit."""

    def call(
        job: str,
        *arguments: str,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        timeout: float = 280,
    ) -> Finished:
        whole = {**SUBMIT_ENVIRONMENT, **(env or {})}
        return run(submit_line(job, *arguments, options=options), cwd=tmp_path, env=whole, timeout=timeout)

    return call


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with everything that this one has installed but spladelake."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(numpy.__file__).parents[1].iterdir():
        if not entry.name.lower().startswith(("spladelake", "__editable__")):
            (packages / entry.name).symlink_to(entry)
    # No .pth file of a folder that one names is read, so that an editable installation stays out of sight.
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "packages.pth").write_text(f"{packages}\n", encoding="utf-8")
    python = str(folder / "bin" / "python")
    looked = [python, "-c", "import importlib.util as u, sys, torch; print(u.find_spec('spladelake'), sys.executable)"]
    env = environment(PYTHONPATH="")
    assert subprocess.run(looked, env=env, capture_output=True, text=True, check=True).stdout == f"None {python}\n"
    return python


@pytest.fixture
def without_package(bare_python: str) -> dict[str, str]:
    """Environment of a spark-submit whose driver and workers have nothing of spladelake but what is shipped."""
    return {"PYTHONPATH": "", "PYSPARK_PYTHON": bare_python}


@pytest.fixture
def shipped(spladelake: Command, tmp_path: Path) -> tuple[str, ...]:
    """Options of spark-submit that ship the zip of `spladelake package` and Delta's jars to small executors."""
    archive = tmp_path / "spladelake.zip"
    assert spladelake("package", "--output", str(archive)).code == 0
    # Three JVMs that live for a minute spend it on compiling themselves, unless they are told to do so quickly.
    logs = (REPOSITORY / "conf" / "log4j2.properties").as_uri()
    archive_of_classes = archive_options(java_version()[0])  # where `spladelake prepare` has made it
    java = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.configurationFile={logs} {archive_of_classes}"
    return (
        "--py-files", str(archive), "--jars", spladelake("jars").out.strip(),
        "--properties-file", str(REPOSITORY / "conf" / "cluster.conf"),
        "--conf", "spark.executor.memory=600m", "--conf", "spark.executor.memoryOverhead=384m",
        "--conf", "spark.executor.cores=1", "--conf", "spark.sql.shuffle.partitions=2",
        "--conf", "spark.ui.enabled=false", "--driver-memory", "1g",
        "--driver-java-options", java, "--conf", f"spark.executor.extraJavaOptions={java}",
    )  # fmt: skip


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    """Lakes to be copied before anything is done to them."""
    return make_lakes(tmp_path_factory.mktemp("lakes"))
