"""Find the layout of judgements and of runs in their first lines: by the names of a header, else by the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

from spladelake.errors import DataError
from spladelake.files.guesses import NO_GRADES
from spladelake.files.layouts import (
    SEPARATORS,
    TREC_COLUMNS,
    Layout,
    header_layout,
    is_quoted,
    parted,
    parted_by,
    split_lines,
    usable_lines,
)
from spladelake.files.rows import number_of
from spladelake.files.tsv import BEIR_HEADER
from spladelake.names import listed

Lines = list[list[str]]
Fits = Callable[[Lines], bool]
# Share of the first lines that must have the same form. Lines of another form are rejected one by one.
_ENOUGH = 0.9
_Q0 = {"q0", "Q0"}
_TREC_QRELS: tuple[str | None, ...] = ("query_id", None, "doc_id", "relevance")


def judgements_layout(first: Sequence[bytes], *, place: str) -> Layout | None:
    """Return the layout of judgements by their first lines, None for TREC's and BEIR's own forms.

    - first: the first lines of the file.
    - place: the file, for messages.

    Raises DataError if the file has a header with unclear names.
    """
    lines = usable_lines(first)
    quoted = bool(lines) and is_quoted(lines[0])
    if not lines or (not quoted and parted(lines[0], "\t") == BEIR_HEADER):
        return None
    if header := header_layout(lines[0], "judgements", place):
        return header
    words = split_lines(lines, " ")
    if _most(words, 4) and _have_iterations(words) and any(line.count("\t") == 2 for line in lines):
        # By its two tabs such a line would be BEIR's, with an iteration as the end of an id.
        return Layout(_TREC_QRELS, " ", f"{_listed(_TREC_QRELS)}, separated by tabs and spaces")
    if not quoted and (_most(split_lines(lines, "\t"), 3) or _most(words, 4)):
        return None
    for separator in SEPARATORS:
        rows = split_lines(lines, separator)
        for columns in (_TREC_QRELS, ("query_id", "doc_id", "relevance")):
            if _most(rows, len(columns)) and _are_grades(len(columns) - 1)(rows):
                return Layout(columns, separator, _listed(columns) + parted_by(separator))
        if _most(rows, 2):
            return Layout(("query_id", "doc_id"), separator, NO_GRADES + parted_by(separator))
    return None


def run_layout(first: Sequence[bytes], *, place: str) -> Layout | None:
    """Return the layout of a run by its first lines, None for TREC's six columns.

    - first: the first lines of the file.
    - place: the file, for messages.

    Raises DataError if neither names nor values show the meaning of the columns.
    """
    lines = usable_lines(first)
    if not lines:
        return None
    if header := header_layout(lines[0], "runs", place):
        return header
    words = split_lines(lines, " ")
    if _most(words, 6) and not is_quoted(lines[0]):
        return None
    for separator in SEPARATORS:
        rows = split_lines(lines, separator)
        for columns, fits in _FORMS:
            whole = [row for row in rows if len(row) == len(columns)]
            if _most(rows, len(columns)) and fits(whole):
                return Layout(
                    columns, separator, f"{_listed(columns)}{parted_by(separator)}, recognised by their values"
                )
    if (tag := _long_tag(words)) is not None:
        named = f"TREC's columns, with the run name {' '.join(tag)!r}"
        return Layout(TREC_COLUMNS[:5], " ", named, tag=tag)
    widest = max(SEPARATORS, key=lambda separator: sum(map(len, split_lines(lines, separator))))
    sizes = sorted({len(row) for row in split_lines(lines, widest)})
    if 6 in sizes:
        return None
    raise DataError(
        place,
        f"the lines have {'1 column' if sizes == [1] else f'{listed(map(str, sizes))} columns'}, and the values do not "
        "show the meaning of each column",
        "wanted the six columns of TREC: query_id, Q0, doc_id, rank, score and run_id",
        _naming_fix(sizes, widest),
    )


def _naming_fix(sizes: Sequence[int], separator: str) -> str:
    """Return the fix for lines with unclear columns.

    - sizes: the numbers of columns, ascending.
    - separator: what separates them.
    """
    if sizes[-1] > 6:
        return "If an id holds spaces, separate the columns by tabs."
    if sizes[-1] < 3:
        return "Correct --run, or write the query_id, the doc_id and the score of each row, separated by tabs."
    example = {3: "query_id doc_id score", 4: "query_id doc_id rank score"}.get(sizes[-1])
    such = "" if example is None or len(sizes) > 1 else f", such as {example}"
    return f"Add a first line that names the columns{such}{parted_by(separator)}."


def _most(rows: Lines, size: int) -> bool:
    return sum(len(row) == size for row in rows) >= _ENOUGH * len(rows)


def _listed(columns: Sequence[str | None]) -> str:
    names = [name for name in columns if name]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _are_ranks(at: int) -> Fits:
    """Return a test that a column ascends from 0 or 1 within each query. Some query must have several lines."""

    def fits(rows: Lines) -> bool:
        ranks = [(row[0], number_of(row[at])) for row in rows]
        if any(rank is None or rank < 0 or rank != int(rank) for _, rank in ranks):
            return False
        groups = [[rank or 0 for _, rank in group] for _, group in groupby(ranks, key=lambda pair: pair[0])]
        ascend = all(group[0] <= 1 and all(a < b for a, b in pairwise(group)) for group in groups)
        return ascend and any(len(group) > 1 for group in groups)

    return fits


def _are_scores(at: int) -> Fits:
    """Return a test that a column holds numbers, some with a fraction: whole numbers alone may be grades."""

    def fits(rows: Lines) -> bool:
        scores = [number_of(row[at]) for row in rows]
        return all(s is not None for s in scores) and any(s != int(s) for s in scores if s is not None)

    return fits


def _are_numbers(at: int) -> Fits:
    return lambda rows: all(number_of(row[at]) is not None for row in rows)


def _are_grades(at: int) -> Fits:
    """Return a test that the last column holds grades, in lines with that number of columns."""

    def fits(rows: Lines) -> bool:
        grades = [row[at] for row in rows if len(row) == at + 1]
        return all(number_of(grade) is not None or grade.lower() in ("true", "false") for grade in grades)

    return fits


def _have_iterations(rows: Lines) -> bool:
    """Whether every line of four columns has TREC's usual iteration, 0 or Q0, as its second column."""
    return all(row[1] in {"0", *_Q0} for row in rows if len(row) == 4)


def _are_q0(rows: Lines) -> bool:
    return all(row[1] in _Q0 for row in rows)


def _is_one_name(at: int) -> Fits:
    return lambda rows: len({row[at] for row in rows}) == 1 and bool(rows[0][at]) and number_of(rows[0][at]) is None


def _all(*conditions: Fits) -> Fits:
    return lambda rows: all(condition(rows) for condition in conditions)


# Possible columns of a line with a test of their values. The first that fits is taken.
_FORMS: tuple[tuple[tuple[str | None, ...], Fits], ...] = (
    (TREC_COLUMNS, _all(_are_numbers(3), _are_numbers(4))),
    (TREC_COLUMNS[:5], _all(_are_q0, _are_ranks(3), _are_numbers(4))),
    (TREC_COLUMNS[:5], _all(_are_q0, _are_numbers(3), _are_scores(4))),
    (("query_id", None, "doc_id", "score", "run_id"), _all(_are_q0, _are_scores(3), _is_one_name(4))),
    (("query_id", "doc_id", "rank", "score", "run_id"), _all(_are_ranks(2), _are_numbers(3), _is_one_name(4))),
    (("query_id", None, "doc_id", "score"), _all(_are_q0, _are_scores(3))),
    (("query_id", "doc_id", "rank", "score"), _all(_are_ranks(2), _are_numbers(3))),
    (("query_id", "doc_id", "score", "run_id"), _all(_are_scores(2), _is_one_name(3))),
    (("query_id", "doc_id", "rank"), _are_ranks(2)),
    (("query_id", "doc_id", "score"), _are_scores(2)),
)


def _long_tag(rows: Lines) -> tuple[str, ...] | None:
    """Return the words after the fifth column, if every line has the same ones and rank and score before them."""
    tags = {tuple(row[5:]) for row in rows if len(row) > 6}
    if len(tags) != 1 or not all(len(row) > 6 for row in rows):
        return None
    (tag,) = tags
    # A space in an id would shift a number into the run's name.
    before = all(number_of(row[3]) is not None and number_of(row[4]) is not None for row in rows)
    return tag if before and all(number_of(word) is None for word in tag[:1]) else None
