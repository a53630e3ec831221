"""The README and the pages of lib/spladelake/docs, block by block, as a reader finds them.

Every fenced block of a page is run by the walk in tests/spark/test_pages.py. HTML comments directly before a block say
otherwise, or what the block needs:

    <!-- not run: REASON -->                    nothing runs it
    <!-- run by: tests/FILE.py::test_name -->   another test runs it
    <!-- before: spladelake … -->               the walk runs this command first; repeatable
    <!-- save as: NAME -->                      the walk writes the block to this file, for later commands
    <!-- page not run: REASON -->               anywhere on a page: nothing runs its blocks that have no mark

Blocks of `text` and `mermaid`, and those without a language, show something and are no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from spladelake.commands.docs import pages

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = {"README": README, **{topic: page.text for topic, page in pages().items()}}
SHOWN = ("text", "mermaid", "")
RUN = ("sh", "python", "sql", "yaml")
MARKS = ("not run", "run by", "before", "save as")


@dataclass(frozen=True)
class Block:
    """A fenced block. heading: the one that it stands under. marks: (kind, text) of the comments directly before it."""

    page: str
    line: int
    heading: str
    language: str
    code: str
    marks: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def marked(self, kind: str) -> list[str]:
        """The texts of the marks of one kind."""
        return [text for found, text in self.marks if found == kind]

    @property
    def walked(self) -> bool:
        """Whether the walk runs it."""
        return self.language in RUN and not self.marked("not run") and not self.marked("run by")

    @property
    def lines(self) -> list[str]:
        """Every line of a block of shell: continued ones joined, spaces single, comments left out."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [re.sub(r"\s+", " ", re.sub(r"(^|\s)# .*", "", line)).strip() for line in lines if line.strip()]


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in its order."""
    return list(_blocks(page, PAGES[page]))


def every_block(language: str) -> list[Block]:
    """The blocks of a language on all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def _blocks(page: str, text: str) -> Iterator[Block]:
    whole = [("not run", reason) for reason in re.findall(r"<!-- page not run: (.*?) -->", text, re.DOTALL)]
    marks: list[tuple[str, str]] = []
    heading = ""
    tokens = MarkdownIt("commonmark").parse(text)
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "html_block":
            marks += re.findall(r"<!-- ([a-z ]+): (.*?) -->", token.content, re.DOTALL)
            continue
        if token.type == "heading_open" and after is not None:
            heading = after.content
        elif token.type == "fence":
            assert token.map is not None
            yield Block(page, token.map[0] + 1, heading, token.info.strip(), token.content, tuple(marks or whole))
        marks = []
