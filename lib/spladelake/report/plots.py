"""The plots as inline SVG, drawn by matplotlib: a few kB each, without scripts.

plotly would add a script of 4.5 MB to every page. A page without scripts can be shown anywhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from spladelake.report.data import ReportData, System, VectorStatistics

# Okabe and Ito's colours, which people with colour blindness can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
MARKERS = ("o", "s", "^")
BETTER, WORSE = "#009e73", "#d55e00"
WIDTH = 4.9  # inches; a phone shows it at three quarters of this size
# Most points of a curve: the eye cannot tell more apart.
POINTS = 400
NAME_LENGTH = 34

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
}


def _look(place: int) -> dict[str, str]:
    """Return the colour and line style of the system at a place; colours repeat with dashed, then dotted lines."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": ("-", "--", ":")[place // len(COLOURS) % 3],
    }


def short(name: str) -> str:
    """Cut a name to the width of a legend."""
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def plots(data: ReportData) -> dict[str, str]:
    """Return the SVG of every plot that has data, by name: sorted, gains, cost, dims, frequencies."""
    draw: dict[str, Callable[[], Figure]] = {"sorted": lambda: sorted_values(data)}
    if len(data.systems) > 1:
        draw["gains"] = lambda: gains(data)
    if any(system.cost for system in data.systems):
        draw["cost"] = lambda: effectiveness_against_cost(data)
    if data.vectors:
        draw["dims"] = lambda: active_dims(data.vectors)
        draw["frequencies"] = lambda: document_frequencies(data.vectors)
    found = {}
    for name, function in draw.items():
        # matplotlib names clip paths by a hash. A salt per figure keeps the names of two figures on a page apart.
        with _style(salt=name):
            found[name] = _svg(function())
    return found


@contextmanager
def _style(*, salt: str) -> Iterator[None]:
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": salt}):
        yield


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(
        file,
        format="svg",
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        bbox_inches="tight",
        pad_inches=0.05,
    )
    text = file.getvalue()
    return text[text.index("<svg") :]


def _axes(*, rows: int = 1, height: float = 3.1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharey=rows > 1)
    return figure, [axis for (axis,) in axes]


def _plain_numbers(axis: Any) -> None:
    """Label the ticks of a logarithmic axis with numbers such as 0.2 and 10k instead of powers of ten."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(
        EngFormatter(sep="", places=None) if high >= 1000 else FuncFormatter(lambda x, _: f"{x:g}")
    )
    axis.set_minor_formatter(NullFormatter())


def _thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of queries in per cent, and the sorted values, thinned to at most POINTS points."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(np.int64))
    return 100 * places / max(1, len(values) - 1), values[places]


def _values(system: System, measure: str) -> NDArray[np.float64]:
    return np.array(list(system.values[measure].values()), dtype=np.float64)


def sorted_values(data: ReportData) -> Figure:
    """Plot the values of each system's queries, best first."""
    figure, (axis,) = _axes()
    for place, system in enumerate(data.systems):
        share, values = _thinned(-np.sort(-_values(system, data.measure)))
        axis.plot(share, values, label=short(system.run_id), linewidth=1.6, **_look(place))
    axis.set(xlabel="queries, best first (%)", ylabel=data.measure, xlim=(0, 100), ylim=(-0.02, 1.02))
    figure.legend(loc="outside lower center", ncols=1 if len(data.systems) < 4 else 2, frameon=False, fontsize=8.5)
    return figure


def gains(data: ReportData) -> Figure:
    """Plot each system's gain over the baseline on every query, largest gain first."""
    baseline, others = data.systems[0], data.systems[1:]
    figure, axes = _axes(rows=len(others), height=0.7 + 1.5 * len(others))
    for axis, system in zip(axes, others, strict=True):
        before, after = baseline.values[data.measure], system.values[data.measure]
        shared = sorted(before.keys() & after.keys())
        found = np.array([after[query] - before[query] for query in shared])
        share, values = _thinned(-np.sort(-found))
        axis.fill_between(share, values, 0, where=values >= 0, color=BETTER, linewidth=0, interpolate=True)
        axis.fill_between(share, values, 0, where=values <= 0, color=WORSE, linewidth=0, interpolate=True)
        axis.axhline(0, color="#444", linewidth=0.8)
        wins, losses = int((found > 1e-9).sum()), int((found < -1e-9).sum())
        counts = f"{wins} better, {len(found) - wins - losses} equal, {losses} worse"
        axis.set_title(f"{short(system.run_id)}: {counts}", fontsize=9, loc="left")
        axis.set(xlim=(0, 100), ylim=(-1.02, 1.02))
    axes[-1].set_xlabel("queries, largest gain first (%)")
    figure.supylabel(f"gain in {data.measure} over {short(baseline.run_id)}", fontsize=9)
    return figure


def effectiveness_against_cost(data: ReportData) -> Figure:
    """Plot the mean of the measure against the expected products of a query-document pair."""
    figure, (axis,) = _axes()
    for place, system in enumerate(data.systems):
        if system.cost is not None:
            axis.scatter(
                max(system.cost.products, 1e-6),
                system.means[data.measure],
                s=60,
                color=_look(place)["color"],
                marker=MARKERS[place // len(COLOURS) % len(MARKERS)],
                label=short(system.run_id),
            )
    axis.set(xscale="log", xlabel="expected products per query-document pair", ylabel=f"mean {data.measure}")
    axis.margins(0.25)
    _plain_numbers(axis.xaxis)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8.5)
    return figure


def active_dims(vectors: tuple[VectorStatistics, ...]) -> Figure:
    """Plot the share of documents by number of active terms."""
    figure, (axis,) = _axes()
    most = max((max(of_table.dims) for of_table in vectors if of_table.dims), default=1)
    edges = np.linspace(0, most + 1, min(40, most + 1) + 1)
    for place, of_table in enumerate(vectors):
        weights = np.array(list(of_table.dims.values()), dtype=np.float64)
        axis.hist(
            list(of_table.dims),
            bins=list(edges),
            weights=100 * weights / weights.sum(),
            histtype="stepfilled",
            alpha=0.45,
            color=COLOURS[place % len(COLOURS)],
            edgecolor=COLOURS[place % len(COLOURS)],
            label=short(of_table.name),
        )
    axis.set(xlabel="active terms per document", ylabel="documents (%)", xlim=(0, most + 1))
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def document_frequencies(vectors: tuple[VectorStatistics, ...]) -> Figure:
    """Plot the document frequency of each term, most frequent term first."""
    figure, (axis,) = _axes()
    for place, of_table in enumerate(vectors):
        frequency = np.array(sorted(of_table.frequencies, reverse=True), dtype=np.int64)
        last = np.cumsum([of_table.frequencies[int(df)] for df in frequency])
        first = np.concatenate([[1], last[:-1] + 1])
        x, y = np.column_stack([first, last]).ravel(), np.repeat(frequency, 2)
        axis.plot(x, y, label=short(of_table.name), linewidth=1.6, **_look(place))
    axis.set(xscale="log", yscale="log", xlabel="term, most frequent first", ylabel="document frequency")
    _plain_numbers(axis.xaxis)
    _plain_numbers(axis.yaxis)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure
