"""Lines and JSON of runs and judgements give the same rows in every plain form, and are refused in any other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from spladelake.errors import DataError
from spladelake.files import Rejected
from spladelake.files.formats import line_parser, split_files
from spladelake.files.json_pairs import LISTS, json_pairs, judgement_of_pair, run_line_of_pair
from spladelake.files.line_forms import run_layout
from spladelake.files.rows import MalformedError
from spladelake.files.run_lines import run_line_parser

ROWS = [("q1", "d1", 1, 2.5), ("q1", "d2", 2, 1.25), ("q2", "d2", 1, 0.5), ("q2", "d3", 2, 0.25)]


def written(form: str, header: str = "") -> list[bytes]:
    """ROWS in lines of a form, as a file has them."""
    return [line.encode() for line in [header, *(form.format(q=q, d=d, r=r, s=s) for q, d, r, s in ROWS)] if line]


def run_rows(lines: Sequence[bytes]) -> list[Any]:
    layout = run_layout(lines, place="r")
    by_rank = layout is not None and "score" not in layout.columns
    parse = run_line_parser(layout, by_rank=by_rank)
    return [row for line in lines if (row := parse(line)) is not None]


@pytest.mark.parametrize(
    ("form", "header", "columns"),
    [
        ("{q} Q0 {d} {r} {s} r", "", "run rank score"),
        ("{q}\tQ0\t{d}\t{r}\t{s}\tr", "", "run rank score"),
        ("{q} Q0 {d} {r}.0 {s} r", "", "run rank score"),
        ("{q} Q0 {d} - {s} r", "", "run score"),
        ("{q} Q0 {d} {r} {s}", "", "rank score"),
        ("{q} {d} {r} {s} r", "", "run rank score"),
        ("{q} Q0 {d} {s} r", "", "run score"),
        ("{q}\t{d}\t{r}\t{s}", "", "rank score"),  # ColBERT
        ("{q} Q0 {d} {s}", "", "score"),
        ("{q}\t{d}\t{r}", "", "rank"),  # MS MARCO
        ("{q} {d} {s}", "", "score"),
        ("{q},{d},{r},{s}", "", "rank score"),
        ('"{q}";"{d}";{s}', "query;document;Score", "score"),
        ("{d}\t{q}\t{r}", "DOCNO\tQID\tRANK", "rank"),
        ("7,{q},text,{d},{r},{s}", ",qid,query,docno,rank,score", "rank score"),  # PyTerrier by pandas
        ('"{q}" "Q0" "{d}" {r} {s} "r"', "", "run rank score"),  # write.table of R
        ('"{q}"\t"Q0"\t"{d}"\t{r}\t{s}\t"r"', "", "run rank score"),
        ('"{d}"\t"{q}"\t"{s}"', '"docno"\t"qid"\t"score"', "score"),
        ("{q}\t{d}\t{r}\t{s}\t", "", "rank score"),
    ],
)
def test_a_run_of_any_plain_form_has_the_same_rows(form: str, header: str, columns: str) -> None:
    wanted = [
        ("r" if "run" in columns else None, q, d, r if "rank" in columns else None, s if "score" in columns else None)
        for q, d, r, s in ROWS
    ]
    assert run_rows(written(form, header)) == wanted


def test_the_name_of_a_run_may_have_several_words_and_ids_spaces_between_tabs() -> None:
    assert {row[0] for row in run_rows(written("{q} Q0 {d} {r} {s} my run"))} == {"my run"}
    assert run_rows([b"q 1\tQ0\td 5\t1\t2.5\tmy run"]) == [("my run", "q 1", "d 5", 1, 2.5)]
    layout = run_layout(written("{q} Q0 {d} {r} {s} my run"), place="r")
    other = run_line_parser(layout, by_rank=False)(b"q3 Q0 d1 1 2.5 your run")
    assert other == Rejected("the line does not end in the run name 'my run', as earlier lines do; wanted one run")


@pytest.mark.parametrize(
    "lines",
    [
        [b"q1 0 d1 1", b"q2 0 d1 1"],  # qrels
        [b"q1 0 100 1", b"q1 0 200 0"],  # qrels whose documents are numbers in order
        [b"q1\td1\t1", b"q2\td1\t1"],  # a rank or a grade
        [b"q1\td1\t7", b"q1\td2\t5"],
        [b"q1\td1", b"q1\td2"],
        [b"q1 Q0 a 5 1 2.5 r", b"q1 Q0 b 7 2 1.5 r"],  # an id with a space, or a name
        [b"qid\tdocno", b"q1\td1"],
    ],
)
def test_a_run_of_which_the_columns_may_be_several_things_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(DataError, match=r"the values do not show|the first line names"):
        run_rows(lines)


@pytest.mark.parametrize("separator", ["\t", ",", ";", " "])
def test_the_first_line_that_a_refusal_proposes_makes_the_run_readable(separator: str) -> None:
    lines = [separator.join(row).encode() for row in (("q1", "d1", "7"), ("q1", "d2", "5"))]
    with pytest.raises(DataError) as refused:
        run_rows(lines)
    names = re.findall(r"such as ([\w ]+)", refused.value.fix)[0].split()
    rows = run_rows([separator.join(names).encode(), *lines])
    assert [(query, doc, score) for _, query, doc, _, score in rows] == [("q1", "d1", 7.0), ("q1", "d2", 5.0)]


JUDGED = [("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d3", 1)]


def judged(form: str, header: str = "", *, file_format: str = "qrels") -> tuple[list[Any], str | None]:
    """What is read of JUDGED in lines of a form, and what was understood."""
    rows = [form.format(q=q, d=d, r=r, f=float(r), t=bool(r), j=json.dumps(bool(r))) for q, d, r in JUDGED]
    lines = [line.encode() for line in [header, *rows] if line]
    parse, read_as = line_parser("judgements", file_format, {}, place="j", first=lines)
    return [row for line in lines if (row := parse(line)) is not None], read_as


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("{q}\t{d}\t{f}", "query-id\tcorpus-id\tscore"),
        ("{q}\t{d}\t{t}", ""),
        ("{q} 0 {d} {r}", ""),
        ("{q} {d} {r}", ""),
        ("{q},{d},{r}", ""),
        ("{q},{d},{r}", "Query ID,Doc ID,Relevance"),
        ("{d}\t{r}\t{q}", "passage_id\tgold\tQUERY"),
        ("{q} 0 {d} {r}", "TOPIC ITERATION DOCUMENT# RELEVANCY"),
        ("9\t{q}\t{d}\t{r}", "\tqid\tpid\tlabel"),
        ("{q} 0\t{d}\t{r}", ""),
        ("{q}\t0 {d}\t{r}", ""),
        ("{q}\tQ0\t{d} {r}", ""),
        ('"{q}"\t"{d}"\t{r}', '"query-id"\t"corpus-id"\t"score"'),
        ('"{q}"\t"{d}"\t"{r}"', ""),
        ('"{q}" 0 "{d}" {r}', ""),
        ("{q}\t{d}\t{r}\t", ""),
    ],
)
def test_judgements_of_any_plain_form_have_the_same_rows(form: str, header: str) -> None:
    assert judged(form, header)[0] == JUDGED


@pytest.mark.parametrize(
    "form",
    [
        '{{"query-id": "{q}", "corpus-id": "{d}", "score": {r}}}',  # MTEB
        '{{"query-id": "{q}", "corpus-id": "{d}", "score": {f}}}',
        '{{"QID": "{q}", "docno": "{d}", "label": {j}}}',
    ],
)
def test_judgements_in_json_lines_have_the_same_rows(form: str) -> None:
    assert judged(form, file_format="jsonl") == (JUDGED, None)


def test_pairs_without_grades_are_of_grade_1_and_said_to_be() -> None:
    wanted = [(q, d, 1) for q, d, _ in JUDGED]
    for form, header in (
        ("{q}\t{d}", ""),
        ("{q} {d}", "query document"),
        ("{q},{d}", "qid,product"),
        ("{q}\t{d}", "question\tanswer"),
    ):
        rows, read_as = judged(form, header)
        assert rows == wanted
        assert "each of grade 1" in (read_as or "")
    rows, read_as = judged('{{"qid": "{q}", "pid": "{d}"}}', file_format="jsonl")
    assert (rows, "each of grade 1" in (read_as or "")) == (wanted, True)
    with pytest.raises(DataError, match="no column is called relevance"):
        judged('{{"qid": "{q}", "pid": "{d}", "a": 1, "b": 2}}', file_format="jsonl")


def test_a_grade_in_later_objects_is_not_lost() -> None:
    parse, _ = line_parser("judgements", "jsonl", {}, place="j", first=[b'{"qid": "q1", "pid": "d1"}'])
    found = parse(b'{"qid": "q2", "pid": "d2", "label": 0}')
    assert found == Rejected('"label" is a grade, but the first judgements have none; wanted one form in all files')


def test_a_line_of_another_form_than_the_first_ones_is_rejected() -> None:
    lines = [b"q1 d1"] * 20 + [b"q1 d2 1"]
    parse, _ = line_parser("judgements", "qrels", {}, place="j", first=lines)
    assert parse(lines[-1]) == Rejected("the line has 3 columns; wanted 2 columns, as in the first lines")


@pytest.mark.parametrize(
    "first",
    [["query-id\tcorpus-id\tscore", "q1\td1\t1"], ["q1\td1\t1"], ["q1\td1"], ["qid\tpid\tlabel", "q1\td1\t1"]],
)
def test_a_later_header_is_no_row_and_is_refused_if_it_orders_the_columns_in_another_way(first: list[str]) -> None:
    lines = [line.encode() for line in first]
    parse, _ = line_parser("judgements", "qrels", {}, place="j", first=lines)
    names = ["q_id", "docno", "grade"][: lines[-1].count(b"\t") + 1]
    assert parse("\t".join(names).encode()) is None
    assert parse(lines[-1]) == ("q1", "d1", 1)
    with pytest.raises(DataError, match="but the first lines have the columns query_id, doc_id"):
        parse("\t".join([names[1], names[0], *names[2:]]).encode())


@pytest.mark.parametrize(
    ("header", "is_alike"),
    [(b"id\ttext", True), (b"Doc ID\tText", True), (b"Text\tDoc ID", False), (b"#docno\tContents\t", False)],
)
def test_a_header_of_a_later_file_of_texts_is_no_document(header: bytes, is_alike: bool) -> None:
    parse, _ = line_parser("documents", "tsv", {}, place="d", first=[b"1\tred apples"])
    if is_alike:
        assert parse(header) is None
        return
    with pytest.raises(DataError, match=r"later lines have the header .*, but the first lines have no header"):
        parse(header)


RUN = {"q1": {"d1": 2.5, "d2": 1.25}, "q2": {"d2": 0.5, "d3": 0.25}}
PAIRS = [(q, d, s) for q, d, _, s in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RUN),
        json.dumps(RUN, indent=2),
        "".join(json.dumps({q: found}) + "\n" for q, found in RUN.items()),
        json.dumps({"mteb_model_metadata": {"model_name": "m"}, "default": {"test": RUN}}),
        json.dumps({q: list(found.items()) for q, found in RUN.items()}),
        json.dumps([{"qid": q, "docno": d, "docid": 7, "score": s, "rank": r} for q, d, r, s in ROWS]),
        json.dumps(
            [
                {"query_id": q, "query": "x", "results": [{"corpus_id": d, "score": s} for d, s in found.items()]}
                for q, found in RUN.items()
            ]
        ),
    ],
)
def test_a_run_in_json_has_the_same_pairs(text: str) -> None:
    rows = [run_line_of_pair(pair, by_rank=False) for pair in json_pairs(text, "runs")]
    assert [(row[1], row[2], row[4]) for row in rows] == PAIRS
    assert not LISTS.match(text.encode())


def test_lists_of_documents_are_ranked_in_their_order_and_judged_relevant() -> None:
    text = json.dumps({q: list(found) for q, found in RUN.items()})
    rows = [run_line_of_pair(pair, by_rank=False) for pair in json_pairs(text, "runs")]
    assert rows == [(None, q, d, r, -float(r)) for q, d, r, _ in ROWS]
    assert [judgement_of_pair(pair) for pair in json_pairs(text, "judgements")] == [(q, d, 1) for q, d, _, _ in ROWS]
    assert LISTS.match(text.encode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"q": {"d": 1, "d": 2}}', "the key 'd' occurs twice"),
        ('{"q": {"d": 1}', "JSON is broken in line 1"),
        ('{"q": 1}', "the value of query 'q' is a number"),
        ('{"a": {"b": {"q": 1}}}', "a value of query 'a' is an object"),
        ('{"default": {"test": {"q": {"d": 1}}, "dev": {"q": {"d": 1}}}}', "several subsets or splits"),
        ('["d1", "d2"]', "the list holds a string"),
        ("7", "the file holds a number"),
        ('{"q": {"": 1}}', '"doc_id" is empty'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_is_neither_a_run_nor_judgements_says_why(text: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        list(json_pairs(text, "runs"))


def test_a_split_is_a_file_of_any_format_and_beirs_own_counts_first() -> None:
    names = ["dev.jsonl", "test.jsonl", "test.tsv", "train-00000-of-00001.parquet", "notes.md"]
    assert split_files(names) == {
        "dev": "dev.jsonl", "test": "test.tsv", "train": "train-00000-of-00001.parquet",
    }  # fmt: skip
