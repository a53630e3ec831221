"""Cases of a table-driven test of which only some run by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Any], *usual: int) -> list[Any]:
    """The cases of `parametrize`; all but those of the usual numbers are slow, because they take the same code."""
    found = []
    for number, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        found.append(case if number in usual else pytest.param(*values, marks=pytest.mark.slow))
    return found
