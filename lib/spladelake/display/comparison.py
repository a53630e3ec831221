"""A comparison of runs as tables: one per collection, split into several on a narrow terminal."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from spladelake.display.numbers import measure_text

SIZES = {
    "query_active_dims": "query dims",
    "corpus_active_dims": "doc dims",
    "flops": "products",
    "table_bytes": "MB",
    "encode_seconds": "encode s",
}
BORDERS = 3  # characters that a column adds to its text: a line, and a space on either side


@dataclass(frozen=True)
class TableColumn:
    """A heading and a cell for each run. wraps: whether the words of the heading may take several lines."""

    head: str
    cells: list[str]
    wraps: bool = True

    @property
    def width(self) -> int:
        """Characters of the longest line plus borders."""
        head = self.head.split() if self.wraps else [self.head]
        return max(cell_len(text) for text in (*head, *self.cells)) + BORDERS


def comparison_tables(result: dict[str, Any], *, width: int) -> list[Table]:
    """Return the tables of a result of compare_runs: means, wins, ties, losses and costs.

    The letters after a mean name the runs that the run beats. A number is never cut: columns that do not fit in `width`
    characters go to a further table of the same runs.
    """
    collections = dict.fromkeys(row["collection"] for row in result["systems"])
    return [table for name in collections for table in _collection_tables(result, name, width)]


def _collection_tables(result: dict[str, Any], collection: str, width: int) -> list[Table]:
    systems = [row for row in result["systems"] if row["collection"] == collection]
    run_ids = list(dict.fromkeys(row["run_id"] for row in systems))
    letters = {run_id: _letters(place) for place, run_id in enumerate(run_ids)}
    names = [TableColumn("", list(letters.values())), TableColumn("run", run_ids)]
    columns = [*_measure_columns(result, collection, letters), *_cost_columns(result, collection, run_ids)]
    queries = "/".join(dict.fromkeys(f"{row['queries']:,}" for row in systems))
    parts = _parts(columns, width - 1 - sum(column.width for column in names))
    tables = []
    for place, part in enumerate(parts, start=1):
        of = f" ({place} of {len(parts)})" if len(parts) > 1 else ""
        tables.append(_table(f"{collection}: {queries} queries{of}", names, part, width))
    level = f"p < {result['significance']:g}"
    tables[-1].caption = f"Letters after a mean: the runs that the run beats (randomisation test, Holm, {level})."
    return tables


def _table(title: str, names: list[TableColumn], numbers: list[TableColumn], width: int) -> Table:
    columns = [*names, *numbers]
    # If not even one column fits beside the names of the runs, the names wrap.
    fits = sum(column.width for column in columns) < width
    table = Table(title=Text(title), title_justify="left", caption_justify="left")
    for place, column in enumerate(columns):
        is_name = place < len(names)
        table.add_column(
            Text(column.head), justify="left" if is_name else "right", overflow="fold",
            width=column.width - BORDERS if fits or not is_name else None,
        )  # fmt: skip
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _parts(columns: list[TableColumn], width: int) -> list[list[TableColumn]]:
    """Split the columns into groups of at most `width` characters, with at least one column each."""
    parts: list[list[TableColumn]] = [[]]
    for column in columns:
        if parts[-1] and sum(other.width for other in (*parts[-1], column)) > width:
            parts.append([])
        parts[-1].append(column)
    return parts


def _measure_columns(result: dict[str, Any], collection: str, letters: dict[str, str]) -> list[TableColumn]:
    """Return columns of means, published values if any, and wins, ties and losses by the first measure."""
    systems = [row for row in result["systems"] if row["collection"] == collection]
    pairs = [row for row in result["pairs"] if row["collection"] == collection]
    cells = {(row["run_id"], row["measure"]): row for row in systems}
    measures = list(dict.fromkeys(row["measure"] for row in systems))
    apart = "" if len(letters) <= len(ascii_lowercase) else " "
    published = any(row["published"] is not None for row in systems)
    columns = []
    for measure in measures:
        means = []
        for run_id in letters:
            better = apart.join(sorted(letters[i] for i in _beaten(pairs, run_id, measure, result["significance"])))
            means.append(f"{measure_text(measure, cells[run_id, measure]['value'])} {better}".strip())
        columns.append(TableColumn(measure, means))
        if published:
            known = [cells[run_id, measure]["published"] for run_id in letters]
            columns.append(
                TableColumn("published", ["" if value is None else measure_text(measure, value) for value in known])
            )
    if result["baseline"]:
        wins = [_wins(pairs, run_id, measures[0]) for run_id in letters]
        columns.append(TableColumn(f"+/=/- {result['baseline']}", wins, wraps=False))
    return columns


def _cost_columns(result: dict[str, Any], collection: str, run_ids: list[str]) -> list[TableColumn]:
    costs = {row["run_id"]: row for row in result["costs"] if row["collection"] == collection}
    shown = [key for key in SIZES if any(cost[key] is not None for cost in costs.values())]
    return [TableColumn(SIZES[key], [_size(key, costs[run_id][key]) for run_id in run_ids]) for key in shown]


def _letters(place: int) -> str:
    """Return the letters of the run at a place: a to z, then aa, ab and so on."""
    before, last = divmod(place, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def _beaten(pairs: list[dict[str, Any]], run_id: str, measure: str, level: float) -> list[str]:
    """Return the runs that a run beats significantly."""
    beaten = []
    for pair in pairs:
        if (
            pair["measure"] == measure
            and run_id in (pair["run_a"], pair["run_b"])
            and pair["randomisation_p_holm"] < level
        ):
            better, worse = ("run_b", "run_a") if pair["difference"] > 0 else ("run_a", "run_b")
            if pair[better] == run_id:
                beaten.append(pair[worse])
    return beaten


def _wins(pairs: list[dict[str, Any]], run_id: str, measure: str) -> str:
    found = [pair for pair in pairs if pair["measure"] == measure and pair["run_b"] == run_id]
    return "/".join(str(found[0][key]) for key in ("wins", "ties", "losses")) if found else ""


def _size(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return (
        f"{value / 1e6:,.1f}" if key == "table_bytes" else f"{value:,.1f}" if key.endswith("_dims") else f"{value:,.2f}"
    )
