"""Names of the field are taken beside ours, on the command line and in a pipeline file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spladelake.config import (
    EvaluateRun,
    ExportMeasures,
    ExportRun,
    FuseRuns,
    IngestTexts,
    RerankRun,
    RetrieveRun,
    checked,
    load_pipeline,
)
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


def test_a_ranking_has_a_name_of_its_own_and_without_it_that_of_the_execution() -> None:
    options = {"lake": "l", "run_id": "nightly-7"}
    assert list(RetrieveRun(**options, ranking="mini").rankings("default")) == ["mini"]
    assert list(RetrieveRun(**options).rankings("default")) == ["nightly-7"]
    assert FuseRuns(**options, ranking="both", runs=("a", "b")).target == "both"
    assert RerankRun(**options, run="a").target == "nightly-7"
    assert EvaluateRun(lake="l").ranking_name is None
    with pytest.raises(UsageError, match="--ranking is missing"):
        checked(ExportMeasures, {"lake": "l", "output": "o"}, place="export_measures")
