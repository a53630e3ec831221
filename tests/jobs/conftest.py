"""Commands as a user starts them: processes of their own, in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.processes import Lakes, environment, make_lakes

REPOSITORY = Path(__file__).resolve().parents[2]


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
    """Run the command line: `spladelake("encode_texts", "--lake", "x", env={…})`."""

    def call(*arguments: str, env: Mapping[str, str] | None = None) -> Finished:
        return run([sys.executable, "-m", "spladelake", *arguments], cwd=tmp_path, env=env)

    return call


@pytest.fixture
def spark_submit(tmp_path: Path) -> Command:
    """Run a file of jobs/ with pyspark's own spark-submit."""
    folder = str(Path(sys.executable).parent)
    submit = shutil.which("spark-submit", path=folder + os.pathsep + os.environ.get("PATH", ""))
    assert submit, "pyspark installs spark-submit beside the interpreter"

    def call(
        job: str, *arguments: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Finished:
        path = {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}", "PYSPARK_PYTHON": sys.executable}
        command = [submit, *options, str(REPOSITORY / "jobs" / f"{job}.py"), *arguments]
        return run(command, cwd=tmp_path, env={**path, **(env or {})})

    return call


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    """Lakes to be copied before anything is done to them."""
    return make_lakes(tmp_path_factory.mktemp("lakes"))
