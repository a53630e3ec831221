"""Names of the field are taken beside ours, on the command line and in a pipeline file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spladelake.config import ExportRun, IngestTexts, checked, load_pipeline
from spladelake.errors import UsageError
from support.command_lines import parsed


def test_qrels_are_judgements_wherever_the_option_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("lake: l\nsteps: [ingest_texts: {qrels: q.txt, qrels_format: qrels}]\n", encoding="utf-8")
    ((_, options),) = load_pipeline(str(file)).options(place="p")
    assert options == IngestTexts(lake="l", judgements="q.txt", judgements_format="qrels")
    assert checked(ExportRun, {"lake": "l", "qrels": "q"}, place="x") == ExportRun(lake="l", judgements="q")
    assert parsed(["ingest_texts", "--lake", "l", "--qrels", "q.txt"]) == ["ingest_texts"]
    assert parsed(["export_run", "--lake", "l", "--qrels", "q.txt"]) == ["export_run"]
    assert parsed(["init", "mine", "--qrels", "q.txt"]) == ["init"]


def test_one_option_under_two_names_is_refused() -> None:
    with pytest.raises(UsageError, match="--qrels and --judgements are two names of one option"):
        checked(IngestTexts, {"lake": "l", "qrels": "a", "judgements": "b"}, place="ingest_texts")
