"""Parsers of tab-separated documents, queries and judgements, and of judgements in TREC's form."""

from __future__ import annotations

import re

from spladelake.files.rows import (
    DocumentRow,
    JudgementRow,
    LineParser,
    MalformedError,
    ParserOf,
    QueryRow,
    grade_of,
    usable_id,
)

# str.split() would also split an id at a no-break space or U+0085.
_COLUMN = re.compile(r"[^ \t\r\n\f\v]+")
_URL = re.compile(r"https?://", re.IGNORECASE)
BEIR_HEADER = ["query-id", "corpus-id", "score"]


def columns_of(line: str) -> list[str]:
    """Return the columns of a line, separated by ASCII white space as in trec_eval."""
    return _COLUMN.findall(line)


def column_count(columns: list[str]) -> str:
    """Return the number of columns of a line, as the beginning of a reason."""
    return f"the line has {len(columns)} column{'' if len(columns) == 1 else 's'}"


def _is_blank(line: str) -> bool:
    return not line.strip(" ")  # A line of tabs has empty columns, so it is not blank.


def _id_and_text(line: str, id_name: str) -> tuple[str, str] | None:
    if _is_blank(line):
        return None
    columns = line.split("\t")
    # A line may end in more tabs, which add only empty columns.
    if len(columns) < 2 or any(columns[2:]):
        raise MalformedError(f"{column_count(columns)}; wanted two tab-separated columns: {id_name} and text")
    return usable_id(id_name, columns[0]), columns[1]


def _document_of(line: str) -> DocumentRow | None:
    columns = line.split("\t")
    if len(columns) == 4 and _URL.match(columns[1]):  # MS MARCO's documents: docid, url, title, body.
        return usable_id("doc_id", columns[0]), columns[2], columns[3]
    row = _id_and_text(line, "doc_id")
    return None if row is None else (row[0], None, row[1])


def _query_of(line: str) -> QueryRow | None:
    return _id_and_text(line, "query_id")


def judgement_of(query_id: str, doc_id: str, relevance: str) -> JudgementRow:
    """Return the judgement of three columns. Raises MalformedError for an invalid id or grade."""
    return usable_id("query_id", query_id), usable_id("doc_id", doc_id), grade_of("relevance", relevance)


def _beir_judgement_of(line: str) -> JudgementRow | None:
    columns = line.split("\t")
    if _is_blank(line) or columns == BEIR_HEADER:
        return None
    if len(columns) != 3:
        wanted = "wanted three tab-separated columns: query-id, corpus-id and score"
        raise MalformedError(f"{column_count(columns)}; {wanted}")
    return judgement_of(*columns)


def _trec_judgement_of(line: str) -> JudgementRow | None:
    columns = columns_of(line)
    if not columns:
        return None
    if len(columns) != 4:
        raise MalformedError(f"{column_count(columns)}; wanted four: query_id, iteration, doc_id and relevance")
    query_id, _, doc_id, relevance = columns
    return judgement_of(query_id, doc_id, relevance)


def _either_judgement_of(line: str) -> JudgementRow | None:
    # A line with two tabs has BEIR's form: its ids can hold spaces, unlike TREC's.
    if line.count("\t") == 2:
        return _beir_judgement_of(line)
    columns = columns_of(line)
    if columns and len(columns) != 4:
        wanted = "wanted three tab-separated columns (BEIR) or four columns (TREC)"
        raise MalformedError(f"{column_count(columns)}; {wanted}")
    return _trec_judgement_of(line)


def tsv_document_parser() -> LineParser[DocumentRow]:
    """Return a parser of `doc_id<TAB>text` into (doc_id, None, text), the form of MS MARCO's collection.tsv.

    It also reads `doc_id<TAB>url<TAB>title<TAB>text`, the form of MS MARCO's msmarco-docs.tsv.
    """
    return ParserOf(_document_of)


def tsv_query_parser() -> LineParser[QueryRow]:
    """Return a parser of `query_id<TAB>text` into (query_id, text), the form of MS MARCO's queries.*.tsv."""
    return ParserOf(_query_of)


beir_judgement: LineParser[JudgementRow] = ParserOf(_beir_judgement_of)
"""Parser of `query-id<TAB>corpus-id<TAB>score` into (query_id, doc_id, relevance); BEIR's header line is not a row."""

trec_judgement: LineParser[JudgementRow] = ParserOf(_trec_judgement_of)
"""Parser of `query_id iteration doc_id relevance`, separated by white space, as in TREC's and MS MARCO's qrels."""


def judgement_parser() -> LineParser[JudgementRow]:
    """Return a parser of lines in BEIR's form (three tab-separated columns) or TREC's (four columns)."""
    return ParserOf(_either_judgement_of)
