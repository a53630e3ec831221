"""csv and tsv as the world writes them: the parsers of ingest_texts read them, and `init` finds the same."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from spladelake.errors import DataError
from spladelake.files import Rejected
from spladelake.files.csv_records import checked_row, csv_layout, csv_rows
from spladelake.files.formats import format_of, line_parser
from spladelake.files.rows import MalformedError
from spladelake.survey.plan import plan

Row = tuple[str, str | None, str | None]
PLAIN = [("1", None, "red apples"), ("2", None, "green pears")]
CSV = b"id,text\n1,red apples\n2,green pears\n"
TSV = b"1\tred apples\n2\tgreen pears\n"
FRAME = pd.DataFrame({"id": ["1", "2"], "text": ["red apples", "green pears"]})
TABLE_COLUMN = {"document_id": "doc_id", "document_title": "title", "document_text": "text"}


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it: rows, pieces of the reasons against other records, or a piece of the error."""

    name: str
    files: dict[str, bytes]
    rows: list[Row] = field(default_factory=list)
    rejected: tuple[str, ...] = ()
    says: str | None = None
    options: dict[str, str] = field(default_factory=dict)


CASES = [
    Case("a mark and carriage returns", {"d.csv": b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n")}, PLAIN),
    Case("no line feed at the end", {"d.csv": CSV[:-1]}, PLAIN),
    Case("latin-1", {"d.csv": b"id,text\n1,red apples\n2,caf\xe9\n"}, PLAIN[:1], ("0xe9, which is not UTF-8",)),
    Case("blank lines", {"d.csv": b"\n" + CSV.replace(b"\n", b"\n\n")}, PLAIN),
    Case(
        "an open quote",
        {"d.csv": b'id,text\n1,5" screen\n2,"open\n3,plain\n4,last\n'},
        says="d.csv line 3: a quote opens",
    ),
    Case("quotes that do not pair", {"d.csv": b'id,text\n1,"a\n2,"b\n3,c\n'}, says="d.csv line 2: a quote opens"),
    Case(
        "a quote within a cell",
        {"d.csv": b'id,text\n1,"a"b\n2,green pears\n'},
        PLAIN[1:],
        ("the quotes are broken",),
    ),
    Case("an open quote at the end", {"d.csv": b'id,text\n1,red apples\n2,"b'}, PLAIN[:1], ("the quotes are broken",)),
    Case("what pandas writes", {"d.csv": FRAME.to_csv().encode()}, PLAIN),
    Case("what pandas writes with tabs", {"d.csv": FRAME.to_csv(sep="\t").encode()}, PLAIN),
    Case(
        "semicolons, and a comma in the header",
        {"d.csv": b"id;text;price, EUR\n1;red apples;5\n2;green pears;6\n"},
        PLAIN,
    ),
    Case(
        "semicolons, a comma in the header, and unusual names",
        {"d.csv": b"nr;words;price, EUR\n1;red apples;5\n2;green pears;6\n"},
        PLAIN,
        options={"document_id": "nr", "document_text": "words"},
    ),
    Case(
        "unusual names that nobody gave",
        {"d.tsv": b"nr\twords\tcolour, mean\n1\tred apples\tr\n"},
        says="colour, mean",
        options={"documents_format": "csv", "document_id": "id"},
    ),
    Case("files with headers that were joined", {"d.csv": b"id,text\n1,red apples\nid,text\n2,green pears\n"}, PLAIN),
    Case("a space before a quote", {"d.csv": b'id, text\n1, "red, apples"\n'}, [], ("the record has 3 cells",)),
    Case("a comment before the header", {"d.csv": b"# by hand\nid,text\n1,red apples\n"}, says="d.csv: "),
    Case("semicolons", {"d.csv": FRAME.to_csv(sep=";", index=False).encode()}, PLAIN),
    Case("a trailing comma", {"d.csv": CSV.replace(b"\n", b",\n")}, PLAIN),
    Case("a trailing comma but in the header", {"d.csv": b"id,text\n1,red apples,\n2,green pears,\n"}, PLAIN),
    Case("a trailing comma in the header alone", {"d.csv": CSV.replace(b"text\n", b"text,\n")}, PLAIN),
    Case("trailing tabs", {"d.tsv": TSV.replace(b"\n", b"\t\n")}, PLAIN),
    Case("a trailing tab in the header alone", {"d.tsv": b"id\tabstract\t\n" + TSV}, PLAIN),
    Case("a trailing tab but in the header", {"d.tsv": b"id\ttext\n" + TSV.replace(b"\n", b"\t\n")}, PLAIN),
    Case(
        "too many and too few cells",
        {"d.csv": CSV + b"3,a,b\n4\n"},
        PLAIN,
        ("but the header has", "but the header has"),
    ),
    Case("a name twice", {"d.csv": b"id,text,text\n1,x,red apples\n"}, says="Set --document-text to "),
    Case(
        "a name twice, as the advice says",
        {"d.csv": b"id,text,text\n1,x,red apples\n"},
        PLAIN[:1],
        options={"document_text": "text.1"},
    ),
    Case(
        "an id without a name",
        {"d.csv": b",text\n1,red apples\n2,green pears\n"},
        PLAIN,
        options={"document_id": "Unnamed: 0"},
    ),
    Case("no header", {"d.csv": b"1,red apples\n2,green pears\n"}, says="d.csv: "),
    Case("a tsv with a header", {"d.tsv": b"pid\tpassage\n" + TSV}, PLAIN),
    Case("a tsv whose text has an unusual name", {"d.tsv": b"#id\tabstract\n" + TSV}, PLAIN),
    Case("a tsv whose header has words", {"d.tsv": b"Document ID\tBody Text\n" + TSV}, PLAIN),
    Case(
        "a tsv whose header is in quotes",
        {"d.tsv": FRAME.to_csv(sep="\t", index=False, quoting=csv.QUOTE_ALL).encode()},
        says="Set --documents-format csv",
    ),
    Case(
        "a tsv whose header is in quotes, as the advice says",
        {"d.tsv": FRAME.to_csv(sep="\t", index=False, quoting=csv.QUOTE_ALL).encode()},
        PLAIN,
        options={"documents_format": "csv"},
    ),
    Case("a tsv whose ids are in quotes", {"d.tsv": b'"1"\t"red apples"\n'}, says="line 1: the id is in quotes"),
    Case("a tsv of three columns", {"d.tsv": b"id\ttitle\ttext\n1\tT\tred apples\n"}, [("1", "T", "red apples")]),
    Case(
        "a tsv whose columns are named",
        {"d.tsv": b"nr\ttopic\twords\n1\tT\tred apples\n"},
        [("1", "T", "red apples")],
        options={"document_id": "nr", "document_title": "topic", "document_text": "words"},
    ),
    Case(
        "columns that a tsv does not name",
        {"d.tsv": TSV},
        says="line 1: no column is called 'nr' (columns: 1, red apples); wanted a column for doc_id. Correct "
        "--document-id, or, if line 1 is a record, write the names of the columns above it, separated by tabs.",
        options={"document_id": "nr"},
    ),
    Case(
        "a tsv that has one of the named columns",
        {"d.tsv": b"nr\twords\n" + TSV},
        says="no column is called 'word' (columns: nr, words); wanted a column for text. Correct --document-text, or,",
        options={"document_id": "nr", "document_text": "word"},
    ),
    Case(
        "a tsv that repeats a name",
        {"d.tsv": b"id\ttext\ttext\n1\ta\tb\n"},
        says="line 1: the header has 'text' more than once; wanted one column for text. Set --document-text to 'te",
    ),
    Case(
        "a tsv with quotes, read as csv",
        {"d.tsv": FRAME.assign(text=['red "apples"', "green\npears"]).to_csv(sep="\t", index=False).encode()},
        [("1", None, 'red "apples"'), ("2", None, "green\npears")],
        options={"documents_format": "csv"},
    ),
    Case(
        "numbers as ids in jsonl",
        {"d.jsonl": b'{"id": 1, "text": "red apples"}\n{"id": 2.0, "text": "green pears"}\n{"id": 2.5, "text": ""}\n'},
        PLAIN,
        ("ids must be strings or whole numbers",),
    ),
    Case(
        "a few texts that are no strings",
        {
            "d.jsonl": b'{"id": "1", "text": "a", "url": "long://"}\n' * 9
            + b'{"id": "2", "text": 3, "url": "long://"}\n'
        },
        [("1", None, "a")] * 9,
        ('"text" is a number (3)',),
    ),
    *(
        Case(
            f"{form}, {indent} spaces",
            {"d.json": json.dumps(value, indent=indent).encode()},
            says=f"the file is {says}",
        )
        for form, value, indent, says in (
            ("an array", [{"_id": "1"}], None, "one JSON array"),
            ("an array", [{"_id": "1"}], 2, "one JSON array"),
            ("an object", {"_id": "1"}, 2, "JSON over several lines"),
        )
    ),
    Case(
        "a title that no object has",
        {"d.jsonl": b'{"_id": "1", "text": "a"}\n'},
        says="'head'",
        options={"document_title": "head"},
    ),
    Case(
        "carriage returns alone in jsonl",
        {"d.jsonl": b'{"_id": "1", "text": "a"}\r' * 2},
        says="carriage returns alone",
    ),
    Case("carriage returns alone in tsv", {"d.tsv": TSV.replace(b"\n", b"\r")}, says="carriage returns alone"),
    Case("a carriage return in a text", {"d.tsv": b"1\tred\rapples\r\n"}, [("1", None, "red\rapples")]),
    Case(
        "a header below lines without one",
        {"d.tsv": b"1\ta\ntext\tid\nb\t2\n"},
        says="later lines have the header 'text\\tid', but",
    ),
    Case("a usual header below lines without one", {"d.tsv": b"1\tred apples\nID\tText\n2\tgreen pears\n"}, PLAIN),
    Case(
        "a longer header below lines without one",
        {"d.tsv": b"1\ta\nid\ttitle\ttext\n2\tT\tb\n"},
        says="but the first lines have no header; wanted a header in every file, or in none. Write a header",
    ),
    Case(
        "MS MARCO's documents",
        {"d.tsv": b"D1\thttps://a.b/c\tApples\tred apples\nD2\thttp://a.b\t\tgreen pears\n"},
        [("D1", "Apples", "red apples"), ("D2", "", "green pears")],
    ),
]


def parsed(case: Case, folder: Path) -> tuple[list[Row], list[str]]:
    """(rows, reasons against the other records), as the job's workers parse the file."""
    (name, content), named = next(iter(case.files.items())), {}
    for option, column in TABLE_COLUMN.items():
        if option in case.options:
            named[column] = case.options[option]
    lines, place = content.split(b"\n"), str(folder / name)
    rows, reasons = [], []
    if name.endswith(".csv") or "documents_format" in case.options:
        found = csv_rows(lines, partial(csv_layout, "documents", named, place=place), place=place)
        assert found is not None
        for record in found[1]:
            try:
                rows.append(checked_row(record, found[0]))
            except MalformedError as fault:
                reasons.append(str(fault))
        return rows, reasons
    parse, _ = line_parser("documents", str(format_of(name)), named, place=place, first=lines)
    kept = [row for line in lines if (row := parse(line)) is not None]
    reasons = [row.reason for row in kept if isinstance(row, Rejected)]
    return [row for row in kept if not isinstance(row, Rejected)], reasons


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dialect_is_read_or_refused_and_init_says_the_same(tmp_path: Path, case: Case) -> None:
    for name, content in case.files.items():
        (tmp_path / name).write_bytes(content)
    options = {"documents": str(tmp_path / next(iter(case.files))), **case.options}
    if case.says is not None:
        for look in (lambda: parsed(case, tmp_path), lambda: plan("unused", options)):
            with pytest.raises(DataError) as raised:
                look()
            assert case.says in str(raised.value)
        return
    rows, reasons = parsed(case, tmp_path)
    assert rows == case.rows
    assert len(reasons) == len(case.rejected)
    assert all(piece in reason for piece, reason in zip(case.rejected, reasons, strict=True))
    finding = plan("unused", options).findings["documents"]
    assert (finding.rows, finding.rejected) == (len(rows) + len(reasons), len(reasons))


def test_cells_of_what_pandas_writes_are_what_pandas_reads(tmp_path: Path) -> None:
    texts = ['say "no"', "a, b", "two\nlines", "\ttab", " spaces ", "a;b|c", "'", '"']
    frame = pd.DataFrame({"id": [str(n) for n in range(len(texts))], "title": texts[::-1], "text": texts})
    for separator in ",;\t|":
        content = frame.to_csv(sep=separator).encode()
        rows, reasons = parsed(Case("pandas", {"d.csv": content}), tmp_path)
        assert reasons == []
        assert rows == list(frame.itertuples(index=False, name=None))
