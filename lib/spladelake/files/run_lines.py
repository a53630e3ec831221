"""Parsers of run lines for import_run, in TREC's form or under a layout.

Ranks or scores decide the order. The other value may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from spladelake.files.layouts import TREC_COLUMNS, Layout
from spladelake.files.rows import LineParser, MalformedError, ParserOf, score_of, usable_id, whole_of
from spladelake.files.tsv import column_count, columns_of

RunLine = tuple[str | None, str, str, int | None, float | None]  # run_id, query_id, doc_id, rank, score

# Values that mark a missing rank. trec_eval does not read ranks.
NO_RANK = {"", "-", "na", "n/a", "nan", "none", "null"}


@dataclass(frozen=True)
class _Trec:
    """TREC's own form. Tabs separate a line's columns if they make exactly six; otherwise white space does."""

    def values(self, line: str) -> dict[str, str] | None:
        found = columns_of(line)
        if len(found) > 6 and line.count("\t") == 5:
            found = [value.strip(" ") for value in line.split("\t")]
        if not found:
            return None
        if len(found) != 6:
            raise MalformedError(f"{column_count(found)}; wanted six: query_id, Q0, doc_id, rank, score and run_id")
        return {name: value for name, value in zip(TREC_COLUMNS, found, strict=True) if name is not None}


def run_line_parser(layout: Layout | None, *, by_rank: bool) -> LineParser[RunLine]:
    """Return a parser of one line of a run.

    - layout: the layout of the file, None for TREC's form.
    - by_rank: whether ranks decide the order, so that scores may be missing.
    """
    return ParserOf(partial(_row_of, layout=layout or _Trec(), by_rank=by_rank))


def _row_of(line: str, *, layout: Layout | _Trec, by_rank: bool) -> RunLine | None:
    values = layout.values(line)
    if values is None:
        return None
    run_id = values.get("run_id")
    if run_id is None and isinstance(layout, Layout) and layout.tag:
        run_id = " ".join(layout.tag)
    return run_row(
        run_id, values["query_id"], values["doc_id"], values.get("rank"), values.get("score"), by_rank=by_rank
    )


def run_row(
    run_id: str | None, query_id: str, doc_id: str, rank: str | None, score: str | None, *, by_rank: bool
) -> RunLine:
    """Return the row of values from a file. Raises MalformedError for a missing or unusable value.

    - by_rank: whether ranks decide the order. Then the score is not read. Otherwise the rank may be missing.
    """
    run_id = None if run_id is None else usable_id("run_id", run_id)
    query_id, doc_id = usable_id("query_id", query_id), usable_id("doc_id", doc_id)
    if by_rank:
        if rank is None:
            raise MalformedError("the row has no rank; wanted one, because ranks decide the order")
        return run_id, query_id, doc_id, whole_of("rank", rank), None
    place = None if rank is None or rank.lower() in NO_RANK else whole_of("rank", rank)
    return run_id, query_id, doc_id, place, score_of(score or "")
