"""The result of parsing a line of an input file: a row, a rejection with its reason, or None (blank line, header)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

DocumentRow = tuple[str, str | None, str | None]  # doc_id, title, text
QueryRow = tuple[str, str | None]  # query_id, text
JudgementRow = tuple[str, str, int]  # query_id, doc_id, relevance
RunRow = tuple[str, str, str, int, float]  # run_id, query_id, doc_id, rank, score


@dataclass(frozen=True)
class Rejected:
    """A line that cannot become a row. `reason` is one clause that UTF-8 can always hold."""

    reason: str


Row = TypeVar("Row")
# Takes the bytes of one line without its line feed. None means no row (blank line or known header). Never raises
# for a malformed line.
LineParser = Callable[[bytes], Row | Rejected | None]


class MalformedError(Exception):
    """Raised inside a parser for an unusable line. Its only argument is the reason."""


@dataclass(frozen=True)
class ParserOf(Generic[Row]):
    """A line parser made from a function.

    - read: takes the decoded line and raises MalformedError to reject it. It must be a function of a module or a
      partial of one, so that Spark can pickle the parser.
    """

    read: Callable[[str], Row | None]

    def __call__(self, line: bytes) -> Row | Rejected | None:
        try:
            return self.read(line_text(line))
        except MalformedError as fault:
            return Rejected(str(fault))


_UTF8_BOM = b"\xef\xbb\xbf"


def line_text(line: bytes) -> str:
    """Return the text of a line, without a byte order mark at the start and a carriage return at the end.

    Raises MalformedError if the line is not UTF-8.
    """
    start = len(_UTF8_BOM) if line.startswith(_UTF8_BOM) else 0
    end = len(line) - 1 if line.endswith(b"\r") else len(line)
    try:
        return line[start:end].decode()
    except UnicodeDecodeError as error:
        at = start + error.start
        found = f"byte {at + 1} of the line, 0x{line[at]:02x}, is not UTF-8"
        raise MalformedError(f"{found}; files must be UTF-8") from None


def usable_id(name: str, value: str) -> str:
    """Return the value if it can be an id, else raise MalformedError. `name` is its field or column."""
    if not value:
        raise MalformedError(f'"{name}" is empty; an id needs at least one character')
    if value.isspace():
        raise MalformedError(f'"{name}" is white space only; an id needs a visible character')
    if "\0" in value:
        raise MalformedError(f'"{name}" holds a NUL character; ids must be text')
    return value


_INTEGER = re.compile(r"-?[0-9]{1,20}")  # int() alone would accept "1_0" and the digits of every script.


def int32_of(name: str, column: str) -> int:
    """Return a column as a 32-bit integer. Raises MalformedError for a fraction, a word or a larger number."""
    column = column.strip(" ")
    if not _INTEGER.fullmatch(column):
        raise MalformedError(f"{name} is {shown(column)}; it must be an integer")
    number = int(column)
    if not -(2**31) <= number < 2**31:
        raise MalformedError(f"{name} is {shown(column)}; it must fit 32 bits")
    return number


_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def number_of(text: str) -> float | None:
    """Return a finite number written in ASCII, None for anything else, such as 1_0 or NaN."""
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def score_of(text: str) -> float:
    """Return a score. Raises MalformedError unless the text is a finite number."""
    score = number_of(text)
    if score is None:
        raise MalformedError(f"score is {shown(text)}; it must be a finite number")
    return score


_WHOLE = re.compile(r"(-?[0-9]{1,20})\.0*")
_TRUTH = {"true": "1", "false": "0"}


def whole_of(name: str, text: str) -> int:
    """Return a 32-bit integer, which other tools may write as 1.0. Raises MalformedError for a fraction."""
    decimal = _WHOLE.fullmatch(text.strip(" "))
    return int32_of(name, decimal[1] if decimal else text)


def grade_of(name: str, text: str) -> int:
    """Return a grade as a 32-bit integer. true is 1 and false is 0."""
    return whole_of(name, _TRUTH.get(text.strip(" ").lower(), text))


def shown(value: str) -> str:
    """Return the first 30 characters, quoted and escaped for a message of one line."""
    piece = value[:30].encode("unicode_escape").decode("ascii")
    return f"'{piece}{'…' if len(value) > 30 else ''}'"
