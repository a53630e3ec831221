"""Lines of JSON become documents and queries, or say why not."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spladelake.files import Rejected, jsonl_document_parser, jsonl_query_parser

document = jsonl_document_parser()
query = jsonl_query_parser()


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b'{"_id": "d1", "title": "T", "text": "some text"}', ("d1", "T", "some text")),
        (b'{"_id": "d1", "title": "", "text": ""}', ("d1", "", "")),
        (b'{"text": " kept as is ", "_id": " d 1 "}', (" d 1 ", None, " kept as is ")),
        (b'{"_id": "d1", "title": null, "text": null}', ("d1", None, None)),
        (b'{"_id": "d1", "text": "x"}\r', ("d1", None, "x")),
        (b'{"_id": 17, "text": "x"}', ("17", None, "x")),
        (b'{"_id": -12345678901234567890, "text": "x"}', ("-12345678901234567890", None, "x")),
        (b'{"_id": 1.0, "text": "x"}', ("1", None, "x")),
        (b'\xef\xbb\xbf{"_id": "d1", "text": "x"}', ("d1", None, "x")),
        (b'{"_id": "d1", "text": "x", "metadata": {"n": NaN, "m": [1, {"k": Infinity}]}}', ("d1", None, "x")),
        ('{"_id": "é", "text": "a\\u0085b\u0085c 😀 \\ud83d\\ude00"}'.encode(), ("é", None, "a\x85b\x85c 😀 😀")),
        (b'{"_id": "d1", "text": "NUL \\u0000 stays in a text"}', ("d1", None, "NUL \0 stays in a text")),
    ],
)
def test_a_good_line_is_a_row_with_its_strings_unchanged(line: bytes, row: tuple[str, ...]) -> None:
    assert document(line) == row


@pytest.mark.parametrize("line", [b"", b"\r", b"  \t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r"])
def test_a_blank_line_is_not_a_row(line: bytes) -> None:
    assert document(line) is None
    assert query(line) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "x"}', '"_id" is missing; every document needs one'),
        (b'{"_id": null, "text": "x"}', '"_id" is null; every document needs one'),
        (b'{"_id": "", "text": "x"}', '"_id" is empty; an id needs at least one character'),
        (b'{"_id": " \\t", "text": "x"}', '"_id" is white space only; an id needs a visible character'),
        (b'{"_id": 1.5, "text": "x"}', '"_id" is a number (1.5); ids must be strings or whole numbers'),
        (b'{"_id": 1e16, "text": "x"}', '"_id" is a number (1e+16); ids must be strings or whole numbers'),
        (b'{"_id": NaN, "text": "x"}', '"_id" is a number (NaN); ids must be strings or whole numbers'),
        (b'{"_id": true, "text": "x"}', '"_id" is a boolean (true); ids must be strings or whole numbers'),
        (b'{"_id": ["a"], "text": "x"}', '"_id" is an array; ids must be strings or whole numbers'),
        (b'{"_id": "a\\u0000b", "text": "x"}', '"_id" holds a NUL character; ids must be text'),
        (b'{"_id": "a\\udfff", "text": "x"}', '"_id" holds a lone surrogate \\udfff; UTF-8 cannot hold it'),
        (b'{"_id": "d1"}', '"text" is missing; write null for a document without text'),
        (b'{"_id": "d1", "text": {"a": 1}}', '"text" is an object; it must be a string or null'),
        (b'{"_id": "d1", "text": 3}', '"text" is a number (3); it must be a string or null'),
        (b'{"_id": "d1", "title": false, "text": ""}', '"title" is a boolean (false); it must be a string or null'),
        (b'{"_id": "d1", "text": "a \\uD800 b"}', '"text" holds a lone surrogate \\ud800; UTF-8 cannot hold it'),
        (
            b'{"_id": "d1", "title": "\\udc00", "text": ""}',
            '"title" holds a lone surrogate \\udc00; UTF-8 cannot hold it',
        ),
        (b'{"_id": "d1", "_id": "d2", "text": ""}', "the key '_id' occurs twice; keys must be unique"),
        (
            b'{"_id": "d1", "text": "", "m": {"\\ud800": 1, "\\ud800": 2}}',
            "the key '\\ud800' occurs twice; keys must be unique",
        ),
        (b'["d1", "x"]', "the line is an array; it must be a JSON object"),
        (b"null", "the line is null; it must be a JSON object"),
        (b'"d1"', "the line is a string; it must be a JSON object"),
        (
            b'{"_id": "d1", "text": "x"',
            "JSON is broken at column 26 (Expecting ',' delimiter): found the end of the line",
        ),
        (b'{"_id": "d1" "text": "x"}', "JSON is broken at column 14 (Expecting ',' delimiter)"),
        (b'{"_id": "d1", "text": "x"} {', "JSON is broken at column 28 (Extra data)"),
        (b"_id,title,text", "JSON is broken at column 1 (Expecting value)"),
        (b'{"_id": "d1", "text": "\xff"}', "byte 24 of the line, 0xff, is not UTF-8; files must be UTF-8"),
        (b'\xef\xbb\xbf{"_id": "\xe9"}', "byte 13 of the line, 0xe9, is not UTF-8; files must be UTF-8"),
        (b'{"_id": "\xed\xa0\x80"}', "byte 10 of the line, 0xed, is not UTF-8; files must be UTF-8"),
        (b"[" * 100_000, "JSON is nested too deeply to read"),
        (b'{"_id": ' + b"1" * 5000 + b"}", "JSON holds an integer of thousands of digits"),
    ],
)
def test_a_bad_line_says_what_was_found_and_what_is_wanted(line: bytes, reason: str) -> None:
    assert document(line) == Rejected(reason)


def test_fields_can_be_mapped_and_the_title_left_out() -> None:
    line = b'{"pid": "7", "title": 5, "headline": "H", "passage": "P"}'
    assert jsonl_document_parser(id_field="pid", title_field="headline", text_field="passage")(line) == ("7", "H", "P")
    assert jsonl_document_parser(id_field="pid", title_field=None, text_field="passage")(line) == ("7", None, "P")
    assert jsonl_query_parser(id_field="pid", text_field="passage")(line) == ("7", "P")


def test_query_lines_keep_the_rules_of_document_lines() -> None:
    assert query(b'{"_id": "q1", "text": null, "metadata": {}}') == ("q1", None)
    assert query(b'{"_id": 1, "text": "x"}') == ("1", "x")
    assert query(b'{"text": "x"}') == Rejected('"_id" is missing; every query needs one')
    assert query(b'{"_id": "q1"}') == Rejected('"text" is missing; write null for a query without text')


def test_parsers_survive_pickling_as_spark_ships_them() -> None:
    line = b'{"id": "d1", "text": "x"}'
    assert pickle.loads(pickle.dumps(jsonl_document_parser(id_field="id")))(line) == ("d1", None, "x")
    assert pickle.loads(pickle.dumps(jsonl_query_parser(id_field="id")))(line) == ("d1", "x")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
json_values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
# json.dumps escapes lone surrogates, so ids, titles, texts and keys come to hold them.
surrogate_text = st.text(st.sampled_from("a\0\ud800\udfff😀"), max_size=4)
objects = st.dictionaries(st.sampled_from(["_id", "title", "text", "\ud800"]), json_values | surrogate_text)


@given(st.binary() | objects.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_row_a_writable_reason_or_nothing(line: bytes) -> None:
    for parsed in (document(line), query(line)):
        match parsed:
            case Rejected(reason):
                assert reason.encode()
                assert "\n" not in reason
            case (str() as row_id, *texts):
                assert row_id.strip()
                assert "\0" not in row_id
                assert all(text is None or isinstance(text.encode(), bytes) for text in texts)
            case _:
                assert parsed is None


@given(row_id=st.text(min_size=1).filter(lambda i: i.strip() and "\0" not in i), text=st.none() | st.text())
def test_what_json_wrote_is_read_back_unchanged(row_id: str, text: str | None) -> None:
    fields = {"_id": row_id, "title": text, "text": text}
    for ascii_only in (True, False):
        assert document(json.dumps(fields, ensure_ascii=ascii_only).encode()) == (row_id, text, text)
