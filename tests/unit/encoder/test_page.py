"""The example in Python of the page on encoding does what the text around it says."""

from __future__ import annotations

import re

import pytest

from support.pages import blocks


def test_the_python_example_runs_and_finds_the_better_document(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in blocks("encoding") if block.language == "python"]
    exec(block.code, {"__name__": "__main__"})
    out = capsys.readouterr().out
    scores = [float(number) for number in re.findall(r"\d+\.\d*", out.split("]]")[0])]
    assert scores[1] > scores[0] > 0
    assert "'bread'" in out
