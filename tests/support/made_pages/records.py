"""The kept records of the benchmarks, and Markdown made from them."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"


@cache
def record(name: str) -> Any:
    """A record by the name of its file without the suffix."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    """Names of all records."""
    return sorted(path.stem for path in RESULTS.glob("*.json"))


def command(name: str) -> str:
    """The command that made a record, without the place of its output."""
    return re.sub(r" --(out|lake) \S+", "", record(name)["command"])


def sources(*records: str) -> Iterator[str]:
    """Lines that name the records of a section and the commands that made them."""
    for name in records:
        yield f"- `{command(name)}` (record `tests/bench/results/{name}.json`)"
    yield ""


def table(head: str, rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table. head: the header row with bars between the columns."""
    columns = head.count("|") + 1
    yield f"| {head} |"
    yield "|" + "---|" * columns
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
    yield ""


def prose(*parts: str) -> Iterator[str]:
    """A paragraph from parts that follow each other."""
    yield from textwrap.wrap(" ".join(parts), 118, break_long_words=False, break_on_hyphens=False)
    yield ""


def gb(megabytes: float) -> str:
    """An amount of memory or storage."""
    return f"{megabytes / 1000:.1f} GB"


def digits(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{float(f'{value:.3g}'):g}"
