"""CIFF and line formats give back what was put in, and broken files are told as such."""

from __future__ import annotations

import bz2
import gzip
import io
import json

import numpy as np
import pytest
from ciff_toolkit.ciff_pb2 import Posting
from ciff_toolkit.ciff_pb2 import PostingsList as Message
from hypothesis import given
from hypothesis import strategies as st

from spladelake.errors import DataError
from spladelake.exchange import (
    LINE_FORMATS,
    CiffHeader,
    DocRecord,
    PostingsList,
    Quantiser,
    parse_line,
    read_ciff,
    write_ciff,
)
from spladelake.exchange.ciff import postings_message

lists = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda t: t.isprintable()),
    st.dictionaries(st.integers(0, 2**40), st.integers(1, 2**31 - 1), min_size=1, max_size=20),
    max_size=5,
)


def as_list(term: str, postings: dict[int, int]) -> PostingsList:
    places = sorted(postings)
    return PostingsList(term, np.array(places, dtype=np.int64), np.array([postings[p] for p in places], dtype=np.int64))


def as_dict(found: PostingsList) -> dict[int, int]:
    return dict(zip(found.documents.tolist(), found.impacts.tolist(), strict=True))


@given(lists)
def test_an_index_comes_back_as_it_was(made: dict[str, dict[int, int]]) -> None:
    file = io.BytesIO()
    header = CiffHeader(len(made), 2, 10**12, "é")
    records = [DocRecord(0, "a", 3), DocRecord(1, "ü b", 0)]
    write_ciff(file, header, (postings_message(as_list(*pair)) for pair in made.items()), records)
    file.seek(0)
    found_header, found_lists, found_records = read_ciff(file, place="x")
    assert found_header == header
    assert {found.term: as_dict(found) for found in found_lists} == made
    assert list(found_records) == records


@given(st.dictionaries(st.integers(0, 10_000), st.integers(1, 2**31 - 1), min_size=1, max_size=20))
def test_a_message_is_what_protobuf_reads_and_protobufs_is_read(postings: dict[int, int]) -> None:
    made = as_list("t", postings)
    message = Message.FromString(postings_message(made))
    assert (message.term, message.df, message.cf) == ("t", len(postings), sum(postings.values()))
    assert np.cumsum([p.docid for p in message.postings]).tolist() == sorted(postings)
    # protobuf leaves out a document number of 0, which this project's own writer does not.
    theirs = Message(term="t", df=1, cf=1)
    theirs.postings.extend(
        Posting(docid=int(gap), tf=int(tf))
        for gap, tf in zip(np.diff(made.documents, prepend=0), made.impacts, strict=True)
    )
    file = io.BytesIO()
    write_ciff(file, CiffHeader(1, 0, 0, ""), [theirs.SerializeToString()], [])
    file.seek(0)
    (found,) = read_ciff(file, place="x")[1]
    assert as_dict(found) == postings


@pytest.mark.parametrize("cut", [1, 5, 30, 60])
def test_a_file_that_ends_early_is_refused(cut: int) -> None:
    file = io.BytesIO()
    postings = as_list("term", {n: n + 1 for n in range(10)})
    write_ciff(file, CiffHeader(1, 1, 55, "x"), [postings_message(postings)], [DocRecord(0, "a", 55)])
    whole = io.BytesIO(file.getvalue()[:-cut])

    def read_all() -> None:
        _, found, records = read_ciff(whole, place="x.ciff")
        list(found)
        list(records)

    with pytest.raises(DataError, match=r"x\.ciff: "):
        read_all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty; wanted a CIFF file. Export the index again, or correct --input."),
        # another format: its first byte is a length
        (b'{"id": "d1", "contents": "", "vector": {"a": 1}}\n' * 4, "does not begin with the header of CIFF version 1"),
        (b'{"id": "d1"}\n', "does not begin with the header of CIFF version 1; wanted a CIFF file. Correct --input-fo"),
        (b"\x04\x08\x02\x10\x01", "does not begin with the header of CIFF version 1"),  # version 2
        (b"\x04\x08\x01\x12\x00", "field 2 of a message is not a number"),  # a text as the number of lists
        (b"\x40\x08\x01", "the file ends within a message; wanted a complete CIFF file. Copy the file again"),
        # a list that ends where the size of a posting is wanted; within a posting; within a number
        (b"\x04\x08\x01\x10\x01" + b"\x04\x0a\x01t\x22", "ends within a posting"),
        (b"\x04\x08\x01\x10\x01" + b"\x05\x0a\x01t\x22\x04", "a message ends within a field"),
        (b"\x04\x08\x01\x10\x01" + b"\x06\x0a\x01t\x22\x01\x80", "the postings of 't' end within a number"),
        (
            gzip.compress(b"\x04", mtime=0),
            "compressed by gzip; wanted an uncompressed CIFF file. Unpack it with gunzip.",
        ),
        (bz2.compress(b"\x04"), "compressed by bzip2; wanted an uncompressed CIFF file. Unpack it with bunzip2."),
        (b"\x28\xb5\x2f\xfd\x00", "compressed by zstd; wanted an uncompressed CIFF file. Unpack it with unzstd."),
    ],
)
def test_what_is_no_ciff_file_is_refused_and_not_read_as_an_empty_one(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as refused:
        list(read_ciff(io.BytesIO(content), place="x.ciff")[1])
    assert str(refused.value).startswith("x.ciff: ")
    assert said in str(refused.value)


@given(st.lists(st.floats(2.0**-30, 100, width=32), min_size=1), st.integers(1, 1000))
def test_impacts_stay_within_their_levels_and_half_a_step(values: list[float], levels: int) -> None:
    weights = np.array(values, dtype=np.float32)
    quantiser = Quantiser.of(float(weights.max()), levels=levels)
    impacts = quantiser.impacts(weights)
    assert impacts.min() >= 1
    assert impacts.max() == levels
    off = np.abs(impacts * quantiser.step - weights.astype(np.float64))
    assert (off <= np.where(weights >= quantiser.step / 2, quantiser.step / 2, quantiser.step) * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", ["anserini", "seismic"])
def test_a_line_is_parsed_back(name: str) -> None:
    weights = np.array([0.1, 2.5e-7, 3e8], dtype=np.float32)
    names = LINE_FORMATS[name].names(['"', ".", "é\u2028"])
    line = LINE_FORMATS[name].line('d "1"\n', 7, names, [str(weight) for weight in weights])
    doc_id, found = parse_line(line, place="x", content_is_id=name == "seismic")
    assert doc_id == 'd "1"\n'
    assert {term: np.float32(weight) for term, weight in found.items()} == dict(
        zip(['"', ".", "é\u2028"], weights, strict=True)
    )
    assert "\n" not in line


def test_the_content_of_seismics_own_files_is_a_text_and_no_id() -> None:
    assert parse_line('{"id": 7, "content": "The whole text", "vector": {"a": 1}}', place="x") == ("7", {"a": 1.0})


@pytest.mark.parametrize("doc_id", ["null", '""', "true", "1.5", '["a"]'])
def test_an_id_that_names_nothing_is_refused(doc_id: str) -> None:
    with pytest.raises(DataError, match="x: the id is "):
        parse_line(f'{{"id": {doc_id}, "vector": {{"a": 1}}}}', place="x")


@pytest.mark.parametrize("weight", ["1e39", "1e-60", "-1", "NaN", "Infinity"])
def test_a_weight_that_float32_cannot_hold_is_refused(weight: str) -> None:
    with pytest.raises(DataError, match="x: the term 'b' has the weight "):
        parse_line(f'{{"id": "d", "vector": {{"a": 1, "b": {weight}}}}}', place="x")


def test_the_id_of_a_qdrant_point_depends_on_the_documents_id_alone() -> None:
    make = LINE_FORMATS["qdrant"].line
    first, second = (json.loads(make("d1", place, ["3"], ["0.5"])) for place in (0, 9))
    assert first == second
    assert first["vector"] == {"splade": {"indices": [3], "values": [0.5]}}


@pytest.mark.parametrize(
    ("line", "content_is_id", "said"),
    [
        ("{", False, ": it is not JSON: Expecting property name"),
        (
            '{"id": "a"}',
            False,
            ': it has no \'vector\'; wanted a line such as {"id": …, "vector": {term: weight, …}}. Correct the line,',
        ),
        (
            '{"id": 3, "vector": {}}',
            True,
            ': it has no \'content\'; wanted a line such as {"content": the document\'s id, "vector": ',
        ),
        ('{"id": "a", "vector": {"x": 1, "x": 2}}', False, ": 'x' occurs twice;"),
        ('{"id": "a", "vector": {"x": "b"}}', False, ": it is not an object whose vector has a number for each term;"),
        ('{"id": true, "vector": {}}', False, "the id is true; wanted a text or an integer"),
    ],
)
def test_a_line_that_is_no_vector_is_refused_by_its_cause(line: str, content_is_id: bool, said: str) -> None:
    with pytest.raises(DataError) as refused:
        parse_line(line, place="x", content_is_id=content_is_id)
    assert said in str(refused.value)
