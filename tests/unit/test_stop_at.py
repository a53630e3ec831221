"""The program with which tests kill a driver kills at the pass that was asked for, and changes nothing before it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

MADE = (
    "def step(number):\n    print('step', number, flush=True)\n\ndef run():\n    for n in range(3):\n        step(n)\n"
)
PROGRAM = """
import sys
from support.stop_at import Place, Stop
stop = Stop(int(sys.argv[2]))
stop.at(Place(sys.argv[1], "made", "step"))
import made
made.run()
"""


@pytest.mark.parametrize(
    ("when", "times", "steps", "code"),
    [
        ("before", 1, 0, -signal.SIGKILL),
        ("after", 1, 1, -signal.SIGKILL),
        ("before", 2, 1, -signal.SIGKILL),
        ("after", 3, 3, -signal.SIGKILL),
        ("after", 4, 3, 0),
    ],
)
def test_a_process_is_killed_at_the_pass_that_was_asked_for(
    tmp_path: Path, when: str, times: int, steps: int, code: int
) -> None:
    (tmp_path / "made.py").write_text(MADE, encoding="utf-8")
    path = f"{tmp_path}:{Path(__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, when, str(times)],
        env={"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == [f"step {n}" for n in range(steps)]
