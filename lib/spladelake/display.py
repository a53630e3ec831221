"""Results as a person reads them, on stderr, so that stdout stays one line of JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """Where results go: colours only on a terminal."""
    return Console(stderr=True, highlight=False)


def measures_table(result: dict[str, Any], *, title: str | None = None) -> Table:
    """A table of an evaluation's means: 4 decimals, as model cards show them."""
    from spladelake.measures import parse_measure

    heading = title or f"{result['run_id']}: means over {result['queries']:,} judged queries"
    table = Table("measure", "defined by", "value", title=heading, title_justify="left")
    table.columns[2].justify = "right"
    for name, value in result["measures"].items():
        is_size = name.endswith(("_active_dims", "_sparsity_ratio"))
        convention = "sentence-transformers" if is_size else parse_measure(name).convention
        table.add_row(name, convention, f"{value:.1f}" if name.endswith("_active_dims") else f"{value:.4f}")
    return table


def step_lines(name: str, result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(step, status, rows, seconds) of a result, one for each table that the step writes."""
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
    """One job's result."""
    show_summary({name: result})


def show_summary(results: dict[str, dict[str, Any]]) -> None:
    """What every step did, then the measures if one evaluated."""
    table = Table("step", "status", "rows", "seconds")
    table.columns[3].justify = "right"
    for name, result in results.items():
        for line in step_lines(name, result):
            table.add_row(*line)
    console().print(table)
    for result in results.values():
        if "measures" in result:
            console().print(measures_table(result))


def quarantine_tables(result: dict[str, Any], *, show_raw: bool) -> None:
    """How many rows of each input are in quarantine, and the first of them."""
    counts = Table("input", "rows")
    for label, count in result["inputs"].items():
        counts.add_row(Text(label), f"{count:,}")
    console().print(counts)
    rows = Table("source", "line", "reason", *(["as it was found"] if show_raw else []))
    for row in result["rows"]:
        line = "" if row["line"] is None else str(row["line"])
        # Text, not str: what a row holds must not be read as markup, nor its control characters reach the terminal.
        cells = [row["source"], line, row["reason"], *([row["raw"]] if show_raw else [])]
        rows.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(rows)


def printable(text: str) -> str:
    """The text with escapes in place of what is not printable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
