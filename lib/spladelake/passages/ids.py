"""Ids of passages: the id of the document, a sign, and the passage's number in a fixed number of digits.

Since the ending has a fixed length, ids sort by document and then by number, two documents never share an id, and
native code finds the document of an id without a table.
"""

from __future__ import annotations

DIGITS = 6
# Bytes, and characters, of an id after the id of the document.
ID_SUFFIX = 1 + DIGITS
# Most passages of a document.
MOST_PASSAGES = 10**DIGITS


def passage_id(doc_id: str, number: int) -> str:
    """Return the id of a passage. number: from 0, below MOST_PASSAGES."""
    return f"{doc_id}#{number:0{DIGITS}d}"


def document_of(passage: str) -> tuple[str, int]:
    """Return document and number of a passage's id."""
    return passage[:-ID_SUFFIX], int(passage[-DIGITS:])
