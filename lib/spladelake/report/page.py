"""The report as one HTML page: it has no scripts, loads nothing, and escapes every text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spladelake import __version__
from spladelake.display.numbers import bytes_text
from spladelake.extras import require_extra
from spladelake.measures.significance import holm, t_test
from spladelake.report.data import Cost, ReportData
from spladelake.report.highlight import in_text, marked

# Significance level: the chance of any false mark in a column of the table.
LEVEL = 0.05
TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Cell:
    """A mean in the table of systems. mark: ▲ or ▼ if it differs significantly from the baseline. p: corrected."""

    value: float
    best: bool
    mark: str = ""
    p: float | None = None


def render(data: ReportData) -> str:
    """Return the HTML page. Raises MachineError if the packages of the extra `report` are not installed."""
    require_extra("report")
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from spladelake.report.plots import plots

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["amount"] = bytes_text
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    # matplotlib escapes the texts in its figures itself.
    figures = {name: Markup(svg) for name, svg in plots(data).items()}  # noqa: S704
    return template.render(
        data=data,
        rows=table(data),
        plots=figures,
        level=LEVEL,
        version=__version__,
        marked=marked,
        in_text=in_text,
        costs=[system for system in data.systems if system.cost],
        without_cost=[system.run_id for system in data.systems if not system.cost],
    )


def table(data: ReportData) -> list[tuple[str, list[Cell], Cost | None]]:
    """Return (run_id, one cell per measure, cost) of every system."""
    columns = [_column(data, measure) for measure in data.measures]
    return [
        (system.run_id, [column[place] for column in columns], system.cost) for place, system in enumerate(data.systems)
    ]


def paired_p(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Return the two-sided p of the paired t-test on the shared queries; None if the differences do not vary."""
    shared = sorted(first.keys() & second.keys())
    return t_test(np.array([second[query] - first[query] for query in shared]))[1]


def _column(data: ReportData, measure: str) -> list[Cell]:
    baseline, others = data.systems[0], data.systems[1:]
    tests = [paired_p(baseline.values.get(measure, {}), system.values.get(measure, {})) for system in others]
    p_values = [None, *holm(tests)]
    means = [system.means[measure] for system in data.systems]
    cells = []
    for mean, p in zip(means, p_values, strict=True):
        certain = p is not None and p < LEVEL
        mark = "" if not certain else "▲" if mean > means[0] else "▼"
        cells.append(Cell(mean, mean == max(means), mark, p))
    return cells
