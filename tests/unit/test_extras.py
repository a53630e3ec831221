"""A part whose packages are missing ends with one message that names the extra; pyproject.toml has every package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from spladelake.bm25.settings import Bm25Settings
from spladelake.cli import main
from spladelake.errors import MachineError
from spladelake.extras import PACKAGES, explained_import, require_extra

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Packages that come with another one of their extra.
COME_WITH = {"datasets": "sentence-transformers", "accelerate": "sentence-transformers"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=<>~! ]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


@pytest.mark.parametrize("extra", [extra for extra in PACKAGES if extra in PROJECT["optional-dependencies"]])
def test_the_packages_of_an_extra_are_those_that_pyproject_installs_for_it(extra: str) -> None:
    installed = packages_distributions()
    for package in PACKAGES[extra]:
        wanted = (
            {COME_WITH[package]}
            if package in COME_WITH
            else {name.lower().replace("_", "-") for name in installed[package]}
        )
        assert wanted & names(PROJECT["optional-dependencies"][extra]), package
        assert not wanted & names(PROJECT["dependencies"]), f"{package} is in the core"


@pytest.mark.parametrize("extra", PACKAGES)
def test_a_missing_package_is_one_message_with_its_extra(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES[extra]:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(MachineError, match=rf"the package {package}: it is not installed.*\[{extra}\]"):
                require_extra(extra)


def test_bm25_without_its_stemmer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    with pytest.raises(MachineError, match=r"\[bm25\]"):
        Bm25Settings()


def test_the_report_without_its_template_engine_ends_with_5_before_spark_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", "--lake", "absent", "--out", "report.html"]) == 5
    shown = capsys.readouterr()
    assert "spladelake[report]" in shown.err
    assert json.loads(shown.out)["exit_code"] == 5


def test_a_command_without_spark_ends_with_5_and_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['pyspark'] = None; from spladelake.cli import main;"
        "print([main([*line.split(), '--lake', 'absent']) for line in ('retrieve_run', 'verify_tables', 'sql -e x')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[5, 5, 5]"
    assert done.stderr.count("spladelake[spark]") == 3
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="unheard_of"), ImportError("y"), ValueError("z")])
def test_other_errors_are_not_explained_as_a_missing_extra(error: Exception) -> None:
    assert explained_import(error) is None
