"""Results as tables on stderr; stdout is kept for one line of JSON."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spladelake.display.numbers import measure_text, printable

# Characters of a line in a log or a pipe, which have no width: wide enough that no table is cut.
WIDTH = 160
BINARY_NDCG = "ndcg_cut_10 uses the grades; ndcg@10, as sentence-transformers reports it, is binary"


def console(out: TextIO | None = None) -> Console:
    """Return the console for results, on stderr by default.

    It has colours only on a terminal. Its width is COLUMNS if set, else the width of the terminal, else WIDTH.
    """
    stream = out or sys.stderr
    return Console(file=stream, highlight=False, width=None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH)


def measures_table(result: dict[str, Any], *, title: str | None = None) -> Table:
    """Return a table of an evaluation's means, with 4 decimals as on model cards; the notes are its caption."""
    from spladelake.measures import parse_measure
    from spladelake.measures.notes import COUNTS

    heading = title or f"{result['run_id']}: means over {result['queries']:,} judged queries"
    notes = [f"{result[name]:,} {text}" for name, text in COUNTS.items() if name != "queries" and result.get(name)]
    if any(name.startswith("ndcg@") for name in result["measures"]):
        notes.insert(0, BINARY_NDCG)
    table = Table(
        "measure", "defined by", "value", title=heading, title_justify="left",
        caption="\n".join(notes) or None, caption_justify="left",
    )  # fmt: skip
    table.columns[2].justify = "right"
    for name, value in result["measures"].items():
        is_size = name.endswith(("_active_dims", "_sparsity_ratio", "_flops"))
        convention = "sentence-transformers" if is_size else parse_measure(name).convention
        table.add_row(name, convention, measure_text(name, value))
    return table


def step_lines(name: str, result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return (step, status, rows, seconds) for each table that the step wrote."""
    parts = {key: value for key, value in result.items() if isinstance(value, dict) and "status" in value}
    if not parts:
        parts = {"": result}
    return [(f"{name} {part}".strip(), value["status"], _rows(value), _seconds(value)) for part, value in parts.items()]


def _rows(value: dict[str, Any]) -> str:
    if "rows" not in value:
        return ""
    text = f"{value['rows']:,}"
    if value.get("rejected"):
        text += f" (+{value['rejected']:,} quarantined)"
    if value.get("docs_per_second"):
        text += f" ({value['docs_per_second']:,.0f}/s)"
    return text


def _seconds(value: dict[str, Any]) -> str:
    return f"{value['seconds']:,.1f}" if "seconds" in value else ""


def show_result(name: str, result: dict[str, Any]) -> None:
    """Print the result of one job."""
    show_summary({name: result})


def show_summary(results: dict[str, dict[str, Any]]) -> None:
    """Print a table of all steps, then the measures, compactions and comparisons of their results."""
    table = Table("step", "status", "rows", "seconds")
    table.columns[3].justify = "right"
    for name, result in results.items():
        for line in step_lines(name, result):
            table.add_row(*line)
    console().print(table)
    for result in results.values():
        if "measures" in result:
            console().print(measures_table(result))
        if "compactions" in result:
            console().print(compaction_table(result))
        if "comparison" in result:
            from spladelake.display.comparison import comparison_tables

            out = console()
            for comparison in comparison_tables(result, width=out.width):
                out.print(comparison)


def compaction_table(result: dict[str, Any]) -> Table:
    """Return a table of the tried compactions, one row per setting and measure; the written setting is marked."""
    size = f"{result['bytes_per_posting_before']} to {result['bytes_per_posting']} bytes per posting"
    kept = f"{result['postings']:,} of {result['postings_before']:,} postings kept"
    table = Table("settings", "measure", "before", "after", "p", title=f"{size}, {kept}", title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in result["compactions"]:
        if row["measure"] is not None:
            values = (f"{row[name]:.4f}" for name in ("before", "after", "randomisation_p"))
            table.add_row(f"{row['settings']}{' (written)' if row['chosen'] else ''}", row["measure"], *values)
    return table


def hits_table(text: str, hits: list[dict[str, Any]]) -> Table:
    """Return a table of the documents found for a text."""
    title = f"“{escape(text)}”" + ("" if hits else ": no document shares a term with it")
    table = Table("rank", "score", "document", "title", "terms that matched", title=title, title_justify="left")
    for column in table.columns[:2]:
        column.justify = "right"
    for hit in hits:
        terms = ", ".join(f"{token} {share:.2f}" for token, share in hit["terms"].items())
        place = f" (characters {hit['start']:,} to {hit['end']:,})" if "passage" in hit else ""
        document = escape(hit["doc_id"]) + place
        table.add_row(str(hit["rank"]), f"{hit['score']:.2f}", document, escape(hit["title"] or ""), escape(terms))
    return table


def quarantine_tables(result: dict[str, Any], *, show_raw: bool) -> None:
    """Print the number of quarantined rows of each input, and the first rows."""
    counts = Table("input", "rows")
    for label, count in result["inputs"].items():
        counts.add_row(Text(label), f"{count:,}")
    console().print(counts)
    rows = Table("source", "line", "reason", *(["start of the row"] if show_raw else []))
    for row in result["rows"]:
        line = "" if row["line"] is None else str(row["line"])
        # A str would be read as markup; `printable` keeps control characters from the terminal.
        cells = [row["source"], line, row["reason"], *([row["raw"]] if show_raw else [])]
        rows.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(rows)
