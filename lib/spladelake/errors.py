"""Errors that a user can act on, and the exit code of each kind."""

from __future__ import annotations


class SpladelakeError(Exception):
    """A failure that names its place, what was found, what was wanted and the fix.

    A command shows it as one message without a stack trace, and ends with `exit_code`.
    """

    exit_code = 1

    def __init__(self, place: str, found: str, wanted: str, fix: str) -> None:
        """Take the four parts of the message.

        - place: file, table, option or setting.
        - found, wanted: clauses.
        - fix: an imperative sentence.
        """
        super().__init__(place, found, wanted, fix)
        self.place, self.found, self.wanted, self.fix = place, found, wanted, fix

    def __str__(self) -> str:
        end = "" if self.wanted.endswith("?") else "."
        return f"{self.place}: {self.found}; {self.wanted}{end} {self.fix}"


class UsageError(SpladelakeError):
    """A wrong option, setting or model name. Nothing was read or written."""

    exit_code = 2


class DataError(SpladelakeError):
    """Unusable input: a missing file or column, a table of another kind, too many malformed rows."""

    exit_code = 3


class ConflictError(SpladelakeError):
    """Another writer changed the same table, and retries did not help."""

    exit_code = 4


class MachineError(SpladelakeError):
    """The machine lacks something: Java, the Delta jars, memory, write access."""

    exit_code = 5
