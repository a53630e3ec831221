"""A run of a job has a name and a day; neither is part of what its result depends on."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from spladelake.config import JOBS, FuseRuns, IngestTexts, JobOptions, RerankRun, RetrieveRun, checked, load_pipeline
from spladelake.errors import UsageError

DAY = "2026-11-24"


@pytest.mark.parametrize("name", JOBS)
def test_every_job_takes_a_name_and_a_day_of_the_run(name: str) -> None:
    assert issubclass(JOBS[name].options, JobOptions)
    assert {"run_id", "run_date"} <= set(JOBS[name].options.model_fields)


@pytest.mark.parametrize(
    "wrong", ["24.11.2026", "2026-11-31", "yesterday", "1700000000", 1700000000, "2026-11-24T10:00"]
)
def test_what_is_no_day_is_refused_with_what_was_wanted(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"run_date: (the value is|there is no day 2026-11-31)") as raised:
        checked(IngestTexts, {"lake": "l", "source": "s", "run_date": wrong}, place="ingest_texts")
    assert raised.value.exit_code == 2


def test_names_that_are_not_given_end_in_the_day_and_given_ones_stay() -> None:
    retrieve = RetrieveRun(lake="l", run_date=DAY, also={"short": {"k": 5}})
    assert list(retrieve.rankings("tiny")) == [f"tiny-{DAY}", "short"]
    assert list(RetrieveRun(lake="l", run_date=DAY, run_id="mine").rankings("tiny")) == ["mine"]
    assert list(RetrieveRun(lake="l").rankings("tiny")) == ["tiny"]
    assert FuseRuns(lake="l", runs=("a", "b"), run_date=DAY).target == f"rrf-a-b-{DAY}"
    assert RerankRun(lake="l", run="a", cross_encoder="x/ce", run_date=DAY).target == f"a-ce-{DAY}"
    assert RerankRun(lake="l", run="a", cross_encoder="x/ce", run_date=DAY, run_id="b").target == "b"


def test_another_day_or_name_changes_nothing_of_what_a_result_depends_on() -> None:
    plain = IngestTexts(lake="l", source="s")
    named = IngestTexts(lake="l", source="s", run_date=DAY, run_id="nightly", force=True)
    assert named.settings() == plain.settings()
    assert named.settings() != IngestTexts(lake="l", source="other").settings()


def test_the_day_and_name_of_a_pipeline_are_those_of_every_step(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    steps = "{ingest_texts: {source: s}, retrieve_run: , verify_tables: }"
    file.write_text(f"lake: l\nrun_date: {DAY}\nsteps: {steps}\n", encoding="utf-8")
    loaded = load_pipeline(str(file)).options(place="p")
    assert [getattr(options, "run_date", None) for _, options in loaded] == [date(2026, 11, 24)] * 3
    named = load_pipeline(str(file), overrides={"run_id": "2026", "run_date": "2026-11-25"}).options(place="p")
    assert [(getattr(o, "run_id", None), str(getattr(o, "run_date", None))) for _, o in named] == [
        ("2026", "2026-11-25")
    ] * 3


@pytest.mark.parametrize("strategy", ["sql", "driver"])
def test_an_update_of_a_run_is_refused_with_a_strategy_that_ranks_all_documents(strategy: str) -> None:
    message = f"--since-version is given, but --strategy is {strategy}; wanted --since-version only with --strategy bl"
    with pytest.raises(UsageError, match=message):
        checked(RetrieveRun, {"lake": "l", "since_version": 1, "strategy": strategy}, place="p")
