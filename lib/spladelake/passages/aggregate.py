"""Ways to score a document by the scores of its passages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_NAME = re.compile(r"(?:(mean|sum)-of-top-)?([1-9]\d{0,2})")
DEFAULT = "max"


@dataclass(frozen=True)
class Aggregate:
    """The score of a document.

    - kind: max: of its best passage. first: of its first passage. mean, sum: of its best passages; a passage without a
      term of the query has the score 0. none: no document is scored; passages are ranked themselves.
    - best: number of best passages for mean and sum. A document of fewer passages has the mean of those.
    """

    kind: Literal["max", "first", "mean", "sum", "none"] = "max"
    best: int = 1

    @property
    def adds_up(self) -> bool:
        """Whether the score of a document comes from several passages."""
        return self.kind in ("mean", "sum")

    @property
    def ranks_documents(self) -> bool:
        """Whether documents are ranked, not passages."""
        return self.kind != "none"


def aggregate_of(name: str) -> Aggregate | None:
    """Return the aggregate that an option names, such as max or mean-of-top-3; None if it names none."""
    if name in ("max", "first", "none"):
        return Aggregate(name)  # type: ignore[arg-type]
    found = _NAME.fullmatch(name)
    if found is None or found[1] is None:
        return None
    return Aggregate(found[1], int(found[2]))  # type: ignore[arg-type]
