"""`spladelake docs`: the pages that come with the package."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import click

from spladelake.errors import UsageError
from spladelake.names import suggestion

# Characters of a line: longer ones are hard to read on a wide terminal.
WIDTH = 110


@dataclass(frozen=True)
class Page:
    """One page: the name of its file without the suffix, and its text in Markdown."""

    topic: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence after the title."""
        paragraphs = [part for part in without_comments(self.text).split("\n\n") if not part.startswith("#")]
        return re.split(r"(?<=\.)\s", " ".join(paragraphs[0].split()), maxsplit=1)[0] if paragraphs else ""


def pages() -> dict[str, Page]:
    """Return every page that is shipped, by topic, in the order of the alphabet."""
    folder = files("spladelake").joinpath("docs")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    texts = {name.removesuffix(".md"): folder.joinpath(name).read_text(encoding="utf-8") for name in found}
    return {topic: Page(topic, text) for topic, text in texts.items()}


def without_comments(text: str) -> str:
    """Return Markdown without HTML comments, which are notes for the tests of the pages."""
    return re.sub(r"<!--.*?-->\n*", "", text, flags=re.DOTALL)


def named_page(topic: str, known: dict[str, Page]) -> Page:
    """Return the page of a topic, whatever its case, with underscores or the suffix of its file.

    Raises UsageError, with a page of a similar name, if there is no such page.
    """
    name = topic.lower().replace("_", "-").removesuffix(".md")
    if name in known:
        return known[name]
    fix = "Run spladelake docs for the list of pages."
    meant = min((page for page in known if name and name in page), key=len, default=name)
    raise UsageError(f"docs {topic}", "there is no such page", suggestion(meant, known), fix)


@click.command("docs")
@click.argument("topic", required=False)
@click.option("--debug", is_flag=True, help="Show stack traces.")
def docs(topic: str | None, debug: bool) -> None:
    """Show a page of the documentation, or the list of all pages.

    TOPIC is the name of a page. A pipe gets the page as Markdown.

    \b
    Examples:
      spladelake docs
      spladelake docs retrieval
    """
    known = pages()
    if topic is None:
        _show_list(known.values())
        return
    text = without_comments(named_page(topic, known).text)
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.markdown import Markdown

    from spladelake.display.results import console

    # A link to another page is its topic here.
    text = re.sub(r"\[([^\]]+)\]\([\w-]+\.md\)", r"`\1`", text)
    out = console(sys.stdout)
    out.print(Markdown(text, hyperlinks=False), width=min(out.width, WIDTH))


def _show_list(known: Iterable[Page]) -> None:
    if not sys.stdout.isatty():
        click.echo("\n".join(f"{page.topic}\t{page.summary}" for page in known))
        return
    from rich.markup import escape
    from rich.table import Table

    from spladelake.display.results import console

    table = Table("topic", "page", title="spladelake docs TOPIC", title_justify="left")
    table.columns[0].no_wrap = True
    for page in known:
        table.add_row(page.topic, escape(page.summary.replace("`", "")))
    console(sys.stdout).print(table)
