"""`spladelake docs` shows the pages: drawn on a terminal, as Markdown in a pipe; a wrong name gets near ones."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from spladelake.cli import main
from spladelake.commands.docs import pages


def on_a_terminal(*arguments: str) -> str:
    """What a terminal of 100 columns gets."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "spladelake", "docs", *arguments]
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=inner, stderr=inner, stdin=subprocess.DEVNULL, env=env)
    os.close(inner)
    shown = b""
    while True:
        try:
            shown += (part := os.read(outer, 65536))
        except OSError:  # the other end is closed
            break
        if not part:
            break
    os.close(outer)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_without_a_topic_every_page_is_listed_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [topic for topic, _ in lines] == list(pages())
    assert {"retrieval", "asked-elsewhere", "glossary", "changelog"} < {topic for topic, _ in lines}
    assert all(summary.endswith(".") for _, summary in lines)


@pytest.mark.parametrize("topic", ["asked-elsewhere", "Asked_Elsewhere", "asked-elsewhere.md"])
def test_a_pipe_gets_the_page_as_markdown_without_the_notes_for_tests(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["docs", topic]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Asked elsewhere\n")
    assert "```sh\nspladelake " in out
    assert "<!--" not in out


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("retreival", "did you mean 'retrieval'?"),
        ("func", "did you mean 'functions'?"),
        ("table", "did you mean 'tables'?"),
        ("zzz", "wanted asked-elsewhere, changelog, "),
    ],
)
def test_an_unknown_topic_is_one_message_with_near_names(
    typed: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["docs", typed]) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert f"docs {typed}: there is no such page" in line
    assert near in line
    assert json.loads(shown.out)["exit_code"] == 2


def test_a_terminal_gets_tables_and_headings_drawn() -> None:
    listed, page = on_a_terminal(), on_a_terminal("retrieval")
    assert "┃" in listed
    assert "retrieval" in listed
    assert "Scores and ties" in page
    assert "## Scores" not in page
    assert "|---|" not in page
    assert "\x1b[" in page
