"""Points at which a test may end the process the hard way, to prove that nothing is lost there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

VARIABLE = "SPLADELAKE_STOP_AT"
# In the order a run passes them.
POINTS = ("after_staging", "before_commit", "after_commit")
CRASH_VARIABLE = "SPLADELAKE_CRASH_ON"
_passed: dict[str, int] = {}


def stop_point(name: str) -> None:
    """SIGKILL this process if SPLADELAKE_STOP_AT says so: NAME, or NAME:2 for the second time it is passed."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def crash_point(texts: Iterable[str | None]) -> None:
    """End this process as a fault in native code would, if one of the texts holds what SPLADELAKE_CRASH_ON says."""
    word = os.environ.get(CRASH_VARIABLE)
    if word and any(text is not None and word in text for text in texts):
        os.kill(os.getpid(), signal.SIGSEGV)
