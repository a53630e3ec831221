"""Settings of all tests, and what a run says at its end."""

import pytest
from hypothesis import HealthCheck, settings

from support.ledger import LEDGER

# How long an example takes says something about the machine, not about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done to the tables, and how many rows were lost by it."""
    if lines := LEDGER.lines():
        terminalreporter.section("nothing lost")
        for line in lines:
            terminalreporter.write_line(line)
