"""Guesses of an input's columns by their names, for columns that the user does not name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from spladelake.errors import DataError
from spladelake.names import listed

_QUERY_IDS = ("query_id", "query-id", "qid", "q_id", "topic_id", "topic", "question_id", "query", "question")
_DOC_IDS = (
    "doc_id", "corpus-id", "docno", "docid", "did", "document_id", "pid", "passage_id", "doc", "document", "passage",
)  # fmt: skip

# Usual names of each column, in the order of trial: first exactly, then without regard to case and punctuation.
GUESSES: dict[str, dict[str, tuple[str, ...]]] = {
    "documents": {
        # PyTerrier's docid is a number in its index; docno is the document's own id.
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
# Other columns that a line of judgements or of a run may have.
_IGNORED = {"iteration", "iter", "q0", "0", ""}


def guess(kind: str, column: str, present: Sequence[str]) -> str | None:
    """Return the input's name of a table's column, None if no name of the input is usual for it.

    - kind, column: the table and its column.
    - present: names of the input's columns.
    """
    guesses = GUESSES[kind][column]
    for name in guesses:
        if name in present:
            return name
    plain = {plain_name(name): name for name in reversed(present)}
    return next((plain[plain_name(name)] for name in guesses if plain_name(name) in plain), None)


@lru_cache(maxsize=32)
def usual_names(kind: str, column: str) -> frozenset[str]:
    """Return the usual names of a table's column, as `plain_name` writes them."""
    return frozenset(map(plain_name, GUESSES[kind][column]))


def told(kind: str, names: Sequence[str]) -> dict[str, str]:
    """Return the input's names of columns of judgements or of a run, by column of the table, as far as they are usual.

    If all but one column of judgements have a usual name, the last one is the missing column.
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
    """Return the column of the grades. None if there are only the two ids, so that each pair has grade 1.

    - found: names of the input's columns, by column of the table.
    - present: names of all columns of the input.
    - place: the input, for messages.

    Raises DataError if another column may hold the grades.
    """
    if "relevance" in found:
        return found["relevance"]
    others = [name for name in present if name not in found.values() and not is_ignored(name)]
    if others:
        names = GUESSES["judgements"]["relevance"][:4]
        raise DataError(
            place,
            f"no column is called {listed(names)} (columns: {', '.join(present)})",
            "wanted a column of grades, or no column besides the two ids",
            f"Rename the column of the grades to {names[0]}, or remove all columns besides the ids.",
        )
    return None


def is_ignored(name: str) -> bool:
    """Whether the readers ignore a column of judgements: the second column of TREC, or a table's unnamed index."""
    return name.lower() in _IGNORED or name.startswith("Unnamed:")


def plain_name(name: str) -> str:
    """Return a name in lower case without punctuation. A name of punctuation alone stays as it is."""
    return re.sub(r"[\W_]+", "", name.strip()).lower() or name
