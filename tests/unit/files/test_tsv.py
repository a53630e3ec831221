"""Tab separated and TREC lines become documents, queries and judgements, or say why not."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spladelake.files import (
    Rejected,
    beir_judgement,
    judgement_parser,
    trec_judgement,
    trec_run_row,
    tsv_document_parser,
    tsv_query_parser,
)

document, query, judgement = tsv_document_parser(), tsv_query_parser(), judgement_parser()


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b"0\tThe presence of communication", ("0", None, "The presence of communication")),
        (b"0\t", ("0", None, "")),
        (b"\xef\xbb\xbf0\tx\r", ("0", None, "x")),
        ("0\ta\x85b\u2028c".encode(), ("0", None, "a\x85b\u2028c")),
        (b"", None),
        (b"  \r", None),
    ],
)
def test_a_collection_line_is_an_id_and_a_text(line: bytes, row: object) -> None:
    assert document(line) == row
    assert query(line) == (row and (row[0], row[2]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"just text", "the line has 1 column; wanted two tab-separated columns: doc_id and text"),
        (b"D1\turl\ttitle\tbody", "the line has 4 columns; wanted two tab-separated columns: doc_id and text"),
        (b"\ttext", '"doc_id" is empty; an id needs at least one character'),
        (b"\t", '"doc_id" is empty; an id needs at least one character'),
        (b"a\0\ttext", '"doc_id" holds a NUL character; ids must be text'),
        (b"1\t\x80", "byte 3 of the line, 0x80, is not UTF-8; files must be UTF-8"),
    ],
)
def test_a_bad_collection_line_says_why(line: bytes, reason: str) -> None:
    assert document(line) == Rejected(reason)


BEIR_LINES = [
    (b"query-id\tcorpus-id\tscore", None),
    (b"\xef\xbb\xbfquery-id\tcorpus-id\tscore\r", None),
    (b"q1\td1\t1", ("q1", "d1", 1)),
    (b"q 1\td 1\t0\r", ("q 1", "d 1", 0)),
    (b"q1\td1\t-1", ("q1", "d1", -1)),
    (b"q1\td1\t 2 ", ("q1", "d1", 2)),
]
TREC_LINES = [
    (b"19335 Q0 1017759 0", ("19335", "1017759", 0)),
    (b"1102432\t0\t2026790\t1", ("1102432", "2026790", 1)),
    (b"  1   0 \t d1  3\r", ("1", "d1", 3)),
    ("1 0 d\xa0\x851 -1".encode(), ("1", "d\xa0\x851", -1)),
]


@pytest.mark.parametrize(("line", "row"), BEIR_LINES)
def test_a_beir_judgement_has_three_tab_separated_columns(line: bytes, row: object) -> None:
    assert beir_judgement(line) == row


@pytest.mark.parametrize(("line", "row"), TREC_LINES)
def test_a_trec_judgement_has_four_columns_parted_by_ascii_white_space(line: bytes, row: object) -> None:
    assert trec_judgement(line) == row


@pytest.mark.parametrize(("line", "row"), [*BEIR_LINES, *TREC_LINES, (b"", None), (b" \t ", None)])
def test_the_judgement_parser_takes_either_form(line: bytes, row: object) -> None:
    assert judgement(line) == row


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"q1\td1\t1.5", "relevance is '1.5'; it must be an integer"),
        (b"q1\td1\tyes", "relevance is 'yes'; it must be an integer"),
        (b"q1\td1\t1_0", "relevance is '1_0'; it must be an integer"),
        ("q1\td1\t１".encode(), "relevance is '\\uff11'; it must be an integer"),
        (b"q1\td1\t", "relevance is ''; it must be an integer"),
        (b"q1 0 d1 2147483648", "relevance is '2147483648'; it must fit 32 bits"),
        (b"q1 0 d1 " + b"9" * 9999, "relevance is '" + "9" * 30 + "…'; it must be an integer"),
        (b"\td1\t1", '"query_id" is empty; an id needs at least one character'),
        (b"q1\t\t1", '"doc_id" is empty; an id needs at least one character'),
        (b"q1\t\0\t1", '"doc_id" holds a NUL character; ids must be text'),
        (b"q1 d1 1", "the line has 3 columns; wanted three tab-separated columns (BEIR) or four columns (TREC)"),
        (b"q1 0 d1 1 x", "the line has 5 columns; wanted three tab-separated columns (BEIR) or four columns (TREC)"),
    ],
)
def test_a_bad_judgement_says_why(line: bytes, reason: str) -> None:
    assert judgement(line) == Rejected(reason)


@given(st.binary() | st.text(st.sampled_from("q1d-. \t\r\0\x85")).map(str.encode))
def test_any_bytes_give_a_row_a_writable_reason_or_nothing(line: bytes) -> None:
    for parser in (document, query, judgement, beir_judgement, trec_judgement, trec_run_row):
        parsed = parser(line)
        if isinstance(parsed, Rejected):
            assert parsed.reason.encode()
            assert "\n" not in parsed.reason
        else:
            assert parsed is None or all(value is None or str(value).encode() is not None for value in parsed)


@pytest.mark.parametrize("parser", [document, query, judgement, beir_judgement, trec_judgement, trec_run_row])
def test_parsers_survive_pickling_as_spark_ships_them(parser: object) -> None:
    assert pickle.loads(pickle.dumps(parser)) == parser
