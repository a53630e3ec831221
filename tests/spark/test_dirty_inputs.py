"""Every class of dirty input has one fate: a row with a status, a row in quarantine, or a refusal; none is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from support.ledger import LEDGER
from support.tables import table_rows

pytestmark = pytest.mark.faults
KEPT = "kept"
QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Dirty:
    """A line of a jsonl file, what becomes of it, and the status of its vector or a word of the reason against it."""

    name: str
    line: bytes
    fate: str
    says: str


def record(**fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


CLASSES = [
    Dirty("plain", record(_id="plain", text="a text"), KEPT, "ok"),
    Dirty("byte order mark", b"\xef\xbb\xbf" + record(_id="bom", text="a text"), KEPT, "ok"),
    Dirty("carriage return", record(_id="cr", text="a text") + b"\r", KEPT, "ok"),
    Dirty("null text", record(_id="null", text=None), KEPT, "null"),
    Dirty("empty text", record(_id="empty", text=""), KEPT, "empty"),
    Dirty("white space only", record(_id="blank", text=" \t\u00a0"), KEPT, "blank"),
    Dirty("control characters only", b'{"_id": "control", "text": "\\u0000\\u0001"}', KEPT, "blank"),
    Dirty("zero width only", record(_id="zwsp", text="\u200b\ufeff"), KEPT, "blank"),
    Dirty("NUL in the text", b'{"_id": "nul", "text": "a\\u0000b"}', KEPT, "ok"),
    Dirty("emoji of four bytes", record(_id="emoji", text="\U0001f600"), KEPT, "ok"),
    Dirty("right to left", record(_id="rtl", text="\u05e9\u05dc\u05d5\u05dd"), KEPT, "ok"),
    Dirty("CJK", record(_id="cjk", text="\u4e2d\u6587"), KEPT, "ok"),
    Dirty("combining marks", record(_id="marks", text="e\u0301\u0302" * 5), KEPT, "ok"),
    Dirty("one word of 200,000 letters", record(_id="long", text="a" * 200_000), KEPT, "ok"),
    Dirty("a million bytes", record(_id="big", text="word " * 200_000), KEPT, "ok"),
    Dirty("words of the tokenizer", record(_id="special", text="[SEP] [MASK] [PAD] [CLS]"), KEPT, "ok"),
    Dirty("escaped pair of surrogates", b'{"_id": "pair", "text": "\\ud83d\\ude00"}', KEPT, "ok"),
    Dirty("id with spaces", record(_id="an id", text="x"), KEPT, "ok"),
    Dirty("SQL in the id", record(_id="'; DROP TABLE x; --", text="x"), KEPT, "ok"),
    Dirty("no JSON", b'{"_id": "broken", "text": "no end', QUARANTINED, "JSON"),
    Dirty("a key twice", b'{"_id": "twice", "text": "x", "text": "y"}', QUARANTINED, "twice"),
    Dirty("further keys", record(_id="further", text="x", url="y", metadata={"a": [1]}), KEPT, "ok"),
    Dirty("an array", b'["_id", "text"]', QUARANTINED, "object"),
    Dirty("lone surrogate", b'{"_id": "lone", "text": "\\ud800"}', QUARANTINED, "surrogate"),
    Dirty("invalid UTF-8", b'{"_id": "latin", "text": "caf\xe9"}', QUARANTINED, "UTF-8"),
    Dirty("no id", record(text="x"), QUARANTINED, '"_id" is missing'),
    Dirty("null id", record(_id=None, text="x"), QUARANTINED, "null"),
    Dirty("a fraction as id", record(_id=1.5, text="x"), QUARANTINED, "number"),
    Dirty("empty id", record(_id="", text="x"), QUARANTINED, "empty"),
    Dirty("blank id", record(_id="  ", text="x"), QUARANTINED, "white space"),
    Dirty("NUL in the id", b'{"_id": "a\\u0000", "text": "x"}', QUARANTINED, "NUL"),
    Dirty("no text", record(_id="no text"), QUARANTINED, '"text" is missing'),
    Dirty("number as text", record(_id="number", text=3.5), QUARANTINED, "number"),
    Dirty("array as text", record(_id="array", text=["x"]), QUARANTINED, "array"),
    Dirty("id again, same text", record(_id="plain", text="a text"), QUARANTINED, "occurs earlier in the input"),
    Dirty("id again, other text", record(_id="plain", text="other"), QUARANTINED, "occurs earlier in the input"),
]


@pytest.fixture(scope="module")
def dirty(spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """All classes in one file, ingested and encoded: rows of quarantine by line, rows of vectors by id."""
    folder = tmp_path_factory.mktemp("dirty")
    source, lake = folder / "corpus.jsonl", str(folder / "lake")
    source.write_bytes(b"\n".join(kind.line for kind in CLASSES) + b"\n")
    done = run_job("ingest_texts", lake=lake, documents=str(source), max_rejected=1)["documents"]
    assert done["rows"] + done["rejected"] == len(CLASSES), "no row is lost"
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    quarantine = table_rows(f"{lake}/quarantine")
    vectors = table_rows(f"{lake}/vectors/splade-tiny/documents")
    LEDGER.tried("dirty input, each of its own class", len(CLASSES))
    return {row["line"]: row for row in quarantine}, {row["id"]: row for row in vectors}


@pytest.mark.parametrize(("number", "kind"), list(enumerate(CLASSES, 1)), ids=[kind.name for kind in CLASSES])
def test_each_class_of_dirty_input_has_its_fate(dirty: tuple[dict, dict], number: int, kind: Dirty) -> None:
    quarantine, vectors = dirty
    if kind.fate == QUARANTINED:
        assert kind.says in quarantine[number]["reason"]
        if "again" not in kind.name:
            assert bytes(quarantine[number]["raw"]) == kind.line
        return
    assert number not in quarantine
    row = vectors[json.loads(kind.line.decode("utf-8-sig"))["_id"]]
    assert row["status"] == kind.says
    assert (len(row["indices"]) > 0) == (kind.says == "ok")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{bad\n" * 3], ids=["empty file", "blank lines", "all rows bad"])
def test_a_file_without_a_usable_row_ends_with_3(run_job: Any, lake: str, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "corpus.jsonl"
    source.write_bytes(content)
    with pytest.raises(DataError) as raised:
        run_job("ingest_texts", lake=lake, documents=str(source))
    assert raised.value.exit_code == 3
