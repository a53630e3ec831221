"""Named points at which a test may end the process the hard way, to prove that nothing is lost there."""

from __future__ import annotations

import os
import signal

VARIABLE = "SPLADELAKE_STOP_AT"
# In the order a run passes them.
POINTS = ("after_staging", "before_commit", "after_commit")
_passed: dict[str, int] = {}


def stop_point(name: str) -> None:
    """SIGKILL this process if SPLADELAKE_STOP_AT says so: NAME, or NAME:2 for the second time it is passed."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
