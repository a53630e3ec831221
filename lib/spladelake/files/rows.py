"""What a line of an input file becomes: a row, a rejection with its reason, or nothing (blank line, header)."""

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
    """A line that cannot become a row; `reason` is one clause, always writable as UTF-8."""

    reason: str


Row = TypeVar("Row")
# From the bytes of one line, its line feed removed. None: not a row (blank line or known header). Never raises.
LineParser = Callable[[bytes], Row | Rejected | None]


class MalformedError(Exception):
    """Raised inside a parser where a line proves unusable; its only argument is the reason."""


@dataclass(frozen=True)
class ParserOf(Generic[Row]):
    """A line parser made of a function on the decoded line, which raises MalformedError to reject it.

    `read` is a function of a module, or a partial of one, so that Spark can ship the parser to its workers.
    """

    read: Callable[[str], Row | None]

    def __call__(self, line: bytes) -> Row | Rejected | None:
        try:
            return self.read(line_text(line))
        except MalformedError as fault:
            return Rejected(str(fault))


_UTF8_BOM = b"\xef\xbb\xbf"


def line_text(line: bytes) -> str:
    """Text of one line: strict UTF-8, without a byte order mark at its start and a carriage return at its end."""
    start = len(_UTF8_BOM) if line.startswith(_UTF8_BOM) else 0
    end = len(line) - 1 if line.endswith(b"\r") else len(line)
    try:
        return line[start:end].decode()
    except UnicodeDecodeError as error:
        at = start + error.start
        found = f"byte {at + 1} of the line, 0x{line[at]:02x}, is not UTF-8"
        raise MalformedError(f"{found}; files must be UTF-8") from None


def usable_id(name: str, value: str) -> str:
    """The value itself where it can be an id; `name` is the field or column it came from."""
    if not value:
        raise MalformedError(f'"{name}" is empty; an id needs at least one character')
    if value.isspace():
        raise MalformedError(f'"{name}" is white space only; an id needs a visible character')
    if "\0" in value:
        raise MalformedError(f'"{name}" holds a NUL character; ids must be text')
    return value


_INTEGER = re.compile(r"-?[0-9]{1,20}")  # int() alone would take "1_0" and the digits of every script


def int32_of(name: str, column: str) -> int:
    """A column as a 32-bit integer; fractions, words and larger numbers are rejected."""
    column = column.strip(" ")
    if not _INTEGER.fullmatch(column):
        raise MalformedError(f"{name} is {shown(column)}; it must be an integer")
    number = int(column)
    if not -(2**31) <= number < 2**31:
        raise MalformedError(f"{name} is {shown(column)}; it must fit 32 bits")
    return number


_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def number_of(text: str) -> float | None:
    """A finite number written in ASCII; None for anything else: neither 1_0 nor NaN are numbers in files."""
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def score_of(text: str) -> float:
    """A score: any finite number."""
    score = number_of(text)
    if score is None:
        raise MalformedError(f"score is {shown(text)}; it must be a finite number")
    return score


_WHOLE = re.compile(r"(-?[0-9]{1,20})\.0*")
_TRUTH = {"true": "1", "false": "0"}


def whole_of(name: str, text: str) -> int:
    """A 32-bit integer that other tools may have written as 1.0; fractions are rejected."""
    decimal = _WHOLE.fullmatch(text.strip(" "))
    return int32_of(name, decimal[1] if decimal else text)


def grade_of(name: str, text: str) -> int:
    """A grade as a 32-bit integer: true is 1 and false is 0."""
    return whole_of(name, _TRUTH.get(text.strip(" ").lower(), text))


def shown(value: str) -> str:
    """The first 30 characters, quoted for a message and escaped, so that it stays one line and can be written."""
    piece = value[:30].encode("unicode_escape").decode("ascii")
    return f"'{piece}{'…' if len(value) > 30 else ''}'"
