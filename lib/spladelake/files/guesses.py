"""Which columns of an input are meant if nobody names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spladelake.errors import DataError

_QUERY_IDS = ("query_id", "query-id", "qid", "q_id", "topic_id", "topic", "question_id", "query")
_DOC_IDS = (
    "doc_id", "corpus-id", "docno", "docid", "did", "document_id", "pid", "passage_id", "doc", "document", "passage",
)  # fmt: skip

# Names tried, in this order, first as they stand, then whatever their case and the signs between their words.
GUESSES: dict[str, dict[str, tuple[str, ...]]] = {
    "documents": {
        # PyTerrier's docid is a number of its index, docno the document's own id.
        "doc_id": ("doc_id", "_id", "id", "docno", "docid", "pid", "corpus_id", "document_id", "passage_id"),
        "title": ("title",),
        "text": ("text", "body", "contents", "content", "page_content", "passage", "document"),
    },
    "queries": {
        "query_id": ("query_id", "_id", "id", "qid", "query-id", "q_id", "topic_id", "question_id"),
        "text": ("text", "query", "question", "title"),
    },
    "judgements": {
        "query_id": _QUERY_IDS,
        "doc_id": _DOC_IDS,
        "relevance": (
            "relevance", "score", "label", "rel", "grade", "judgement", "judgment", "qrel", "relevance_label",
            "relevance_score", "relevant", "is_relevant", "gain", "rating",
        ),
    },
    "runs": {
        "query_id": _QUERY_IDS,
        "doc_id": _DOC_IDS,
        "rank": ("rank", "ranking", "position"),
        "score": ("score", "similarity", "relevance_score", "relevance", "sim"),
        "run_id": ("run_id", "run", "run_name", "run_tag", "tag", "system"),
    },
}  # fmt: skip
OPTIONAL_COLUMNS = {
    ("documents", "title"), ("judgements", "relevance"), ("runs", "rank"), ("runs", "score"), ("runs", "run_id"),
}  # fmt: skip
# What a line of judgements or of a run may hold beside.
_IGNORED = {"iteration", "iter", "q0", "0", ""}


def guess(kind: str, column: str, present: Sequence[str]) -> str | None:
    """The column of an input that stands for one of a table, by its name; None if no name tells."""
    guesses = GUESSES[kind][column]
    for name in guesses:
        if name in present:
            return name
    plain = {_plain(name): name for name in reversed(present)}
    return next((plain[_plain(name)] for name in guesses if _plain(name) in plain), None)


def told(kind: str, names: Sequence[str]) -> dict[str, str]:
    """Columns of judgements or of a run by those of the table, as far as their names tell.

    Of three columns of judgements of which two are told, the third is the one that is missing; of two without grades,
    the other is too.
    """
    found: dict[str, str] = {}
    for column in GUESSES[kind]:
        left = [name for name in names if name not in found.values()]
        if (name := guess(kind, column, left)) is not None:
            found[column] = name
    left = [name for name in names if name not in found.values() and not is_ignored(name)]
    wanted = [column for column in ("query_id", "doc_id", "relevance") if column not in found]
    is_plain = len(left) == 1 and bool(found) and wanted[1:] in ([], ["relevance"])
    if kind == "judgements" and is_plain and wanted:
        found[wanted[0]] = left[0]
    return found


NO_GRADES = "pairs of query and document without grades, each of grade 1"


def grade_column(found: Mapping[str, str], present: Sequence[str], *, place: str) -> str | None:
    """The column of the grades; None if there are two columns, a query's id and a document's, so that each pair counts.

    found: columns of the input by those of the table. present: all that it has. Raises DataError if one of the others
    may be the grade.
    """
    if "relevance" in found:
        return found["relevance"]
    others = [name for name in present if name not in found.values() and not is_ignored(name)]
    if others:
        raise DataError(
            place,
            f"none of its columns is called {', '.join(GUESSES['judgements']['relevance'][:4])} (it has "
            f"{', '.join(present)})",
            "judgements have a grade, or no other column than the two ids",
            "Rename the column of the grades, or leave the others out.",
        )
    return None


def is_ignored(name: str) -> bool:
    """Whether a column of judgements is one that nothing is made of: TREC's second, or a table's unnamed index."""
    return name.lower() in _IGNORED or name.startswith("Unnamed:")


def _plain(name: str) -> str:
    # A name of signs alone, or of another script, is as good as any other.
    return re.sub(r"[\W_]+", "", name.strip()).lower() or name
