"""The zip for --py-files holds the package, all of it, and works where nothing else of it is installed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spladelake.cli import main
from spladelake.packaging import write_package

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_zip_holds_every_file_of_the_package_that_git_knows_and_no_other(tmp_path: Path) -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "lib/spladelake"]
    known = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    write_package(tmp_path / "s.zip")
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert sorted(archive.namelist()) == sorted(name.removeprefix("lib/") for name in known)
        assert (
            archive.read("spladelake/report/page.html.j2")
            == (REPOSITORY / "lib/spladelake/report/page.html.j2").read_bytes()
        )


def test_another_checkout_of_the_same_code_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = shutil.copytree(REPOSITORY / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for file in Path(copied).rglob("*.py"):
        os.utime(file, (1e9, 1e9))
        file.chmod(0o600)
    command = [sys.executable, "-m", "spladelake", "package", "--output", str(tmp_path / "other.zip")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(copied)}, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    assert main(["package"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sha256"] == hashlib.sha256((tmp_path / "other.zip").read_bytes()).hexdigest()
    assert "--py-files spladelake.zip" in result["submit"]


def test_the_package_works_from_the_zip_alone_with_its_data_files(tmp_path: Path) -> None:
    write_package(tmp_path / "s.zip")
    code = (
        "import spladelake, importlib.resources as r; print(spladelake.__file__);"
        "print(len(r.files('spladelake.spark.sql').joinpath('explore.sql').read_text()) > 0);"
        "from spladelake.cli import main; main(['--version']); main(['docs', 'glossary'])"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "s.zip")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[:2] == [f"{tmp_path / 's.zip'}/spladelake/__init__.py", "True"]
    assert "spladelake" in done.stdout.splitlines()[2]
    assert "# Glossary" in done.stdout


def test_a_zip_that_cannot_be_written_ends_with_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "--output", str(tmp_path / "absent" / "s.zip")]) == 5
    assert "cannot be written" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.slow
def test_a_wheel_built_from_the_clone_works_in_an_environment_that_has_nothing_else_of_it(tmp_path: Path) -> None:
    clone, python = tmp_path / "clone", str(tmp_path / "venv/bin/python")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def printed(*command: str, **more: str) -> str:
        run = subprocess.run(command, env=alone | more, cwd=tmp_path, capture_output=True, text=True, check=True)
        return run.stdout

    pip = (python, "-m", "pip", "-q", "--disable-pip-version-check")
    printed("git", "clone", "-q", str(REPOSITORY), str(clone))
    printed(sys.executable, "-m", "venv", "venv")
    printed(*pip, "wheel", "--no-deps", "--wheel-dir", ".", str(clone))
    (wheel,) = tmp_path.glob("spladelake-*.whl")
    printed(*pip, "install", "--no-deps", str(wheel))
    place = printed(python, "-P", "-c", "import spladelake; print(spladelake.__file__)")
    assert place.startswith(str(tmp_path / "venv"))
    # The packages that it needs come from the environment of the tests.
    needed = str(Path(pytest.__file__).parents[1])
    assert "# Glossary" in printed(str(tmp_path / "venv/bin/spladelake"), "docs", "glossary", PYTHONPATH=needed)
