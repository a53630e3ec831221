"""Settings of all tests, and what a run says at its end."""

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from support.ledger import LEDGER, Ledger
from support.parts import Parts

# No test's process, nor a command that it starts, makes an archive of Java's classes beside the tests.
os.environ["SPLADELAKE_PREPARE"] = "off"

# How long an example takes says something about the machine, not about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of support/parts.py."""
    parser.addoption("--part", metavar="K/N", help="take the K-th of N parts of the tests")
    parser.addoption("--within", type=float, metavar="SECONDS", help="start no test after so many seconds")


def pytest_configure(config: pytest.Config) -> None:
    """Take a part of the tests if asked to, and deal out the files to processes in the order of their folders.

    The quick files of `unit` come last, so no process waits for a long file of the other.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    config.pluginmanager.register(Parts(config.getoption("--part"), config.getoption("--within")), "parts")


def pytest_collection_finish() -> None:
    """A model that is loaded, or runs out of memory, collects garbage: not among all that was imported, each time."""
    gc.freeze()


@pytest.fixture(scope="module")
def one_thread_of_torch() -> Iterator[None]:
    """Most models of tests are so small that threads wait for each other longer than they compute."""
    torch = sys.modules.get("torch")  # not imported for the sake of tests that need none
    threads = torch.get_num_threads() if torch else None
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(threads)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In one of several processes: hand over what was counted in it."""
    gc.unfreeze()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["ledger"] = LEDGER.counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Where tests run in several processes: add up what each of them counted."""
    LEDGER.add(Ledger.of(getattr(node, "workeroutput", {}).get("ledger")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done to the tables, how many rows were lost by it, and which tests were left out."""
    if lines := LEDGER.lines():
        terminalreporter.section("nothing lost")
        for line in lines:
            terminalreporter.write_line(line)
    for line in terminalreporter.config.pluginmanager.get_plugin("parts").lines():
        terminalreporter.write_line(line)
