"""The prompt of `spladelake sql`, typed at through a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.collections import FRUIT
from support.processes import SMALL, command, environment

PROMPT, FURTHER = "spladelake> ", "          > "
UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """A process at a terminal of 200 columns, which sees what a person would type and shows what one would see."""

    def __init__(self, line: list[str], folder: Path) -> None:
        self.end, inner = pty.openpty()
        os.set_blocking(self.end, False)
        env = environment(XDG_STATE_HOME=str(folder / "state"), COLUMNS="200", NO_COLOR="1", TERM="xterm")
        self.process = subprocess.Popen(
            line, stdin=inner, stdout=inner, stderr=inner, cwd=folder, env=env, start_new_session=True,
            # Its controlling terminal, so that Ctrl-C reaches it as it would at a desk.
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )  # fmt: skip
        os.close(inner)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def read_until(self, sign: str, *, seconds: float = 120) -> str:
        """What is shown up to a sign, and no further."""
        until = time.monotonic() + seconds
        while sign not in self.seen:
            left = until - time.monotonic()
            assert left > 0, f"no {sign!r} in {self.seen!r}"
            if select.select([self.end], [], [], left)[0]:
                try:
                    self.seen += _CONTROLS.sub("", os.read(self.end, 65_536).decode(errors="replace"))
                except OSError:  # it has closed its side
                    raise AssertionError(f"it ended: {self.seen!r}") from None
        shown, self.seen = self.seen.split(sign, 1)
        return shown

    def ask(self, *lines: str) -> str:
        """Type a statement line by line; what is shown until the next prompt."""
        for line in lines[:-1]:
            self.type(f"{line}\n")
            self.read_until(FURTHER)
        self.type(f"{lines[-1]}\n")
        return self.read_until(PROMPT)

    def code(self) -> int:
        return self.process.wait(timeout=60)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.end)


@pytest.fixture
def terminal(fruit_lake: str, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(command("sql", "--lake", fruit_lake, "--model", "splade-tiny", *SMALL), tmp_path)
    yield opened
    opened.close()


@pytest.mark.slow
def test_the_prompt_takes_lines_keeps_a_history_and_outlives_errors_and_ctrl_c(
    terminal: Terminal, fruit_lake: str, tmp_path: Path
) -> None:
    greeting = terminal.read_until(PROMPT)
    assert "defined: encode_query, text_terms, documents, queries, judgements" in greeting
    assert "not defined: runs_with_text: it needs runs, and there is no" in greeting

    found = terminal.ask("SELECT doc_id, text", "FROM documents -- a remark", "WHERE doc_id = 'bread';")
    assert FRUIT["bread"] in found

    for wrong, said in (
        ("SELECT nothing FROM documents;", "error: the statement: A column"),
        ("SELEKT 1;", "error: the statement:"),
        ("SELECT * FROM similar('absent', 3);", "there is no vector of a document with the id 'absent'"),
        ("SELECT * FROM serch('fruit', 3);", "did you mean 'search'?"),
        ("SELECT * FROM runs;", "error: runs: spladelake sql could not define this name, because there is no"),
        ("SELECT CAST('many' AS INT);", "error: the statement:"),
    ):
        shown = terminal.ask(wrong)
        assert said in " ".join(shown.split())
        assert "Traceback" not in shown
        assert "\tat " not in shown

    terminal.type("SELECT 'dropped',\n")
    terminal.read_until(FURTHER)
    terminal.type(CTRL_C)
    terminal.read_until(PROMPT)
    assert " 42 " in terminal.ask("SELECT 40 + 2 AS sum;")

    # More pairs than could be counted while the test waits.
    terminal.type("SELECT count(*) AS pairs FROM range(1e7) AS a JOIN range(1e7) AS b ON a.id % 7 < b.id % 11;\n")
    time.sleep(3)
    terminal.type(CTRL_C)
    assert "stopping the statement" in terminal.read_until(PROMPT)
    assert " 43 " in terminal.ask("SELECT 42 + 1 AS sum;")

    terminal.type(UP)  # the last line again
    assert " 43 " in terminal.ask("")
    terminal.type("exit\n")
    assert terminal.code() == 0

    again = Terminal(terminal.process.args, tmp_path)  # type: ignore[arg-type]
    try:
        again.read_until(PROMPT)
        again.type(UP * 2)  # past `exit`
        assert " 43 " in again.ask("")
        again.type(CTRL_D)
        assert again.code() == 0
    finally:
        again.close()
