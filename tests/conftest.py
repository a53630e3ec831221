"""Settings of all tests, and what a run says at its end."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from support.ledger import LEDGER, Ledger

# No test's process, nor a command that it starts, makes an archive of Java's classes beside the tests.
os.environ["SPLADELAKE_PREPARE"] = "off"

# How long an example takes says something about the machine, not about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In one of several processes: hand over what was counted in it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["ledger"] = LEDGER.counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Where tests run in several processes: add up what each of them counted."""
    LEDGER.add(Ledger.of(getattr(node, "workeroutput", {}).get("ledger")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done to the tables, and how many rows were lost by it."""
    if lines := LEDGER.lines():
        terminalreporter.section("nothing lost")
        for line in lines:
            terminalreporter.write_line(line)
