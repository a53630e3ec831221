"""What pyproject.toml says of the project: one version, pins with a reason, systems that are true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import spladelake
from spladelake.commands.docs import pages

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]


def test_the_version_is_written_in_one_place_and_is_the_newest_of_the_changelog() -> None:
    assert "version" in PROJECT["dynamic"]
    assert re.findall(r"^## (\S+)", pages()["changelog"].text, re.MULTILINE)[0] == spladelake.__version__
    for file in ("pyproject.toml", "README.md", "CITATION.cff"):
        assert spladelake.__version__ not in (REPOSITORY / file).read_text(encoding="utf-8"), file


def test_the_citation_has_what_the_format_asks_for() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["license"]


def test_the_extra_all_has_every_extra_that_a_user_of_the_jobs_needs() -> None:
    (whole,) = PROJECT["optional-dependencies"]["all"]
    named = set(re.findall(r"[a-z0-9]+", whole.partition("[")[2]))
    assert {"bm25", "report", "train", "data"} <= named
    assert named <= PROJECT["optional-dependencies"].keys()


def test_only_systems_that_have_the_locks_are_named() -> None:
    systems = {name for name in PROJECT["classifiers"] if name.startswith("Operating System")}
    assert systems == {"Operating System :: MacOS", "Operating System :: POSIX :: Linux"}
