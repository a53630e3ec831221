"""The processes of a training have the packages of the one that starts them, and end with it."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spladelake.training.processes import Sent

# Trains for a minute, in a session of its own, as torchrun has it, and says that it began.
CHILD = """
import sys, time
from pathlib import Path
from spladelake.training.processes import Sent
Sent(lambda: (Path(sys.argv[1]).touch(), time.sleep(60)))()
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    """Whether a process is there and not just a number that nobody has asked for."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it looks at processes by /proc")
def test_a_process_of_a_training_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    begun, line = tmp_path / "begun", [sys.executable, "-c", PARENT, CHILD, str(tmp_path / "begun")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        ends = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        assert begun.exists()
        assert runs(child)
        parent.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 10
    while runs(child) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not runs(child)


def test_what_unpickles_a_training_gives_its_own_processes_the_packages_that_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent = pickle.dumps(Sent(len))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("TQDM_DISABLE", "0")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pickle.loads(sent)("abc") == 3
    shown = subprocess.run([sys.executable, "-c", "import sys; print(sys.path)"], capture_output=True, text=True)
    assert str(tmp_path) in shown.stdout
