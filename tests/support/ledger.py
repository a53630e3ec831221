"""What the tests did to tables and inputs, counted, so that a run can say it at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """faults: how often each was injected. inputs: rows of generated, dirty or hostile input. rows: compared with those
    of an undisturbed run. lost: of these, how many were not there, neither as a row nor in quarantine.
    """

    faults: Counter[str] = field(default_factory=Counter)
    inputs: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    lost: int = 0

    def injected(self, fault: str, times: int = 1) -> None:
        self.faults[fault] += times

    def tried(self, kind: str, rows: int) -> None:
        self.inputs[kind] += rows

    def compared(self, found: Collection[str], wanted: Collection[str]) -> None:
        self.rows += len(wanted)
        self.lost += len(set(wanted) - set(found))

    def counts(self) -> dict[str, Any]:
        """All of it as plain values, for another process."""
        return {"faults": dict(self.faults), "inputs": dict(self.inputs), "rows": self.rows, "lost": self.lost}

    @classmethod
    def of(cls, counts: dict[str, Any] | None) -> Ledger:
        """What another process counted; nothing where it ended without saying so."""
        given = counts or {"faults": {}, "inputs": {}, "rows": 0, "lost": 0}
        return cls(Counter(given["faults"]), Counter(given["inputs"]), given["rows"], given["lost"])

    def add(self, other: Ledger) -> None:
        """Count what another process counted as well."""
        self.faults += other.faults
        self.inputs += other.inputs
        self.rows += other.rows
        self.lost += other.lost

    def lines(self) -> list[str]:
        """The counts as sentences; empty where there are none."""
        if not (self.faults or self.inputs or self.rows):
            return []
        return [
            *(f"{times:>6,}  {fault}" for fault, times in sorted(self.faults.items())),
            *(f"{rows:>6,}  rows of {kind}" for kind, rows in sorted(self.inputs.items())),
            f"{self.faults.total():,} faults injected, {self.inputs.total():,} rows of bad or generated input tried, "
            f"{self.rows:,} rows compared with an undisturbed run, {self.lost:,} rows lost",
        ]


LEDGER = Ledger()
