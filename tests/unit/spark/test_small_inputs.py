"""A job is small by the sizes of its inputs, and a large input is not listed to its end to know it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spladelake.config import IngestTexts
from spladelake.spark.session import quick_settings, small_plans


def is_small(folder: Path, **inputs: Path) -> bool:
    given = {name: str(path) for name, path in inputs.items()}
    return small_plans.is_small(IngestTexts(lake=str(folder / "lake"), **given))


def test_the_sizes_of_all_inputs_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_plans, "MOST_INPUT_BYTES", 10)
    for name, size in (("d/a/1.jsonl", 4), ("d/2.jsonl", 2), ("q.jsonl", 4), ("j.tsv", 1)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    documents, queries, judgements = (tmp_path / name for name in ("d", "q.jsonl", "j.tsv"))
    assert is_small(tmp_path, documents=documents, queries=queries)
    assert not is_small(tmp_path, documents=documents, queries=queries, judgements=judgements)
    assert not is_small(tmp_path, documents=tmp_path / "*.jsonl")
    (tmp_path / "d" / "dangling.jsonl").symlink_to("absent")
    assert not is_small(tmp_path, documents=documents)


def test_a_folder_of_many_files_is_left_after_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_settings, "MOST_FILES", 5)
    seen = []

    class Counted:
        def __init__(self, folder: str | Path) -> None:
            self.entries = SCANDIR(folder)

        def __iter__(self) -> Counted:
            return self

        def __next__(self) -> os.DirEntry[str]:
            seen.append(1)
            return next(self.entries)

    monkeypatch.setattr(quick_settings.os, "scandir", Counted)
    for number in range(20):
        (tmp_path / f"{number}.jsonl").write_bytes(b"x")
    assert quick_settings.small_size(str(tmp_path), most_bytes=1_000) is None
    assert len(seen) == 6
    assert quick_settings.small_size(str(tmp_path / "1.jsonl"), most_bytes=1_000) == 1


SCANDIR = os.scandir
