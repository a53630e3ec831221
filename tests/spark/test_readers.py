"""Files as the world writes them: ingest_texts reads each right or says what is wrong, and init says it before."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import IngestTexts
from spladelake.errors import SpladelakeError
from spladelake.spark.ingest.columns import exact_names
from spladelake.spark.ingest.sources import named_sources, records
from spladelake.spark.session.failures import explained
from spladelake.survey.findings import Finding
from spladelake.survey.plan import plan

Table = dict[str, Any] | pa.Table
Row = tuple[str, str | None, str | None]
PLAIN = [("1", None, "red apples"), ("2", None, "green pears")]
IDS, TEXTS = ["1", "2"], ["red apples", "green pears"]
JSONL = b'{"_id": "1", "text": "red apples"}\n{"_id": "2", "text": "green pears"}\n'
CSV = b"id,text\n1,red apples\n2,green pears\n"
TSV = b"1\tred apples\n2\tgreen pears\n"


@dataclass(frozen=True)
class Case:
    """Files, and what becomes of them.

    - files: content by name; a table is written as Parquet. given: the name that --documents gets.
    - rows: (doc_id, title, text) that are read. rejected: a piece of the reason against each other record, in order.
    - says: a piece of the error instead.
    """

    name: str
    files: dict[str, bytes | Table]
    rows: list[Row] = field(default_factory=list)
    rejected: tuple[str, ...] = ()
    says: str | None = None
    given: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def also(name: str, column: Any) -> Case:
    """A Parquet file with a column that nobody asks for."""
    return Case(f"a column of {name}", {"d.parquet": {"id": IDS, "text": TEXTS, "x": column}}, PLAIN)


def named(name: str) -> Case:
    """A file of a name that might mean others, beside one that it would mean."""
    return Case(f"the name {name}", {name: JSONL, "va.jsonl": b"{", "1.jsonl": b"{"}, PLAIN, given=name)


def compressed(codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as out:
        out.write(JSONL)
    return sink.getvalue().to_pybytes()


def archived(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("d.jsonl", JSONL)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo("d.jsonl")
            info.size = len(JSONL)
            tar.addfile(info, io.BytesIO(JSONL))
    return buffer.getvalue()


def brotli(column: str) -> bytes:
    sink = pa.BufferOutputStream()
    codecs = {"id": "snappy", "text": "snappy", "other": "snappy", column: "brotli"}
    pq.write_table(pa.table({"id": IDS, "text": TEXTS, "other": TEXTS}), sink, compression=codecs)
    return sink.getvalue().to_pybytes()


FRAME = pd.DataFrame({"id": IDS, "text": TEXTS})
CASES = [
    # Columns that nobody asks for.
    also("nanoseconds", pa.array([1, 2], pa.timestamp("ns"))),
    also("times", pa.array([1, 2], pa.time64("ns"))),
    also("half floats", pa.array(np.array([1, 2], np.float16))),
    also("no value", pa.nulls(2)),
    also("decimals of 50 digits", pa.array([Decimal(1), Decimal(2)], pa.decimal256(50, 0))),
    also("large lists", pa.array([[1], [2]], pa.large_list(pa.int32()))),
    also("maps", pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32()))),
    also("durations", pa.array([1, 2], pa.duration("ns"))),
    also(
        "an extension type", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, b"b" * 16], pa.binary(16)))
    ),
    also("categories", pa.array(["a", "b"]).dictionary_encode()),
    *(
        Case(f"a column called {name!r}", {"d.parquet": {"id": IDS, "text": TEXTS, name: ["x", "y"]}}, PLAIN)
        for name in (
            "_metadata",
            "__file",
            "file",
            "seq",
            "_corrupt_record",
            "__index_level_0__",
            "Text",
            "ID",
            "a.b`c\nd",
        )
    ),
    Case(
        "two columns of one name beside those that are meant",
        {"d.parquet": pa.table([IDS, TEXTS, IDS, IDS], names=["id", "text", "z", "z"])},
        PLAIN,
    ),
    # Columns that are meant.
    *(
        Case(
            f"a text called {name!r}",
            {"d.parquet": {"id": IDS, name: TEXTS}},
            PLAIN,
            options={"document_text": name},
        )
        for name in ("_metadata", "__index_level_0__", "a.b`c\nd", "x y")
    ),
    Case(
        "texts as categories, views and large strings",
        {"d.parquet": {"id": pa.array(IDS, pa.large_string()), "text": pa.array(TEXTS).dictionary_encode()}},
        PLAIN,
    ),
    *(
        Case(f"ids of {kind}", {"d.parquet": {"id": pa.array([1, 2], kind), "text": TEXTS}}, PLAIN)
        for kind in (pa.int8(), pa.uint8(), pa.uint32(), pa.uint64())
    ),
    Case("titles without a value", {"d.parquet": {"id": IDS, "title": pa.nulls(2), "text": TEXTS}}, PLAIN),
    Case(
        "texts in nanoseconds",
        {"d.parquet": {"id": IDS, "text": pa.array([1, 2], pa.timestamp("ns"))}},
        says="column 'text' is timestamp[ns]; text wants a string",
    ),
    Case(
        "two texts of one name",
        {"d.parquet": pa.table([IDS, TEXTS, TEXTS], names=["id", "text", "text"])},
        says="it has several columns 'text'",
    ),
    Case("a text in brotli", {"d.parquet": brotli("text")}, says="column 'text' is compressed by brotli"),
    Case("another column in brotli", {"d.parquet": brotli("other")}, PLAIN),
    # Shards that differ.
    Case(
        "shards of which one has titles",
        {"d/p-0.parquet": {"id": ["1"], "text": ["a"]}, "d/p-1.parquet": {"id": ["2"], "title": ["T"], "text": ["b"]}},
        [("1", None, "a"), ("2", "T", "b")],
        given="d",
    ),
    Case(
        "shards with other names, types and orders",
        {
            "d/p-0.parquet": {"id": ["1"], "text": ["a"]},
            "d/p-1.parquet": {"contents": ["b"], "id": [2]},
            "d/p-2.parquet": {"id": pa.nulls(0), "text": pa.nulls(0)},
        },
        [("1", None, "a"), ("2", None, "b")],
        given="d",
    ),
    Case(
        "a shard without a text",
        {"d/p-0.parquet": {"id": ["1"], "text": ["a"]}, "d/p-1.parquet": {"id": ["2"], "words": ["b"]}},
        says="p-1.parquet: it has no column 'text'",
        given="d",
    ),
    Case(
        "a shard of no bytes",
        {"d/p-0.parquet": {"id": IDS, "text": TEXTS}, "d/p-1.parquet": b""},
        says="it is empty",
        given="d",
    ),
    Case(
        "shards of csv with other headers",
        {"d/0.csv": b"id,text\n1,red apples\n", "d/1.csv": b"body,title,id\ngreen pears,T,2\n", "d/2.csv": b""},
        [("1", None, "red apples"), ("2", "T", "green pears")],
        given="d",
    ),
    Case(
        "a shard of csv without a header",
        {"d/0.csv": b"id,text\n1,red apples\n", "d/1.csv": b"2,green pears\n"},
        says="1.csv: it has no column",
        given="d",
    ),
    Case(
        "shards of tsv with one header",
        {"d/0.tsv": b"id\ttext\n1\tred apples\n", "d/1.tsv": b"2\tgreen pears\n", "d/2.tsv": b"id\ttext\n"},
        PLAIN,
        given="d",
    ),
    Case(
        "shards of tsv with two headers",
        {"d/0.tsv": b"id\ttext\n1\tred apples\n", "d/1.tsv": b"text\tid\ngreen pears\t2\n"},
        says="it has two headers",
        given="d",
    ),
    Case(
        "shards of jsonl with other keys",
        {"d/0.jsonl": b'{"_id": "1", "text": "a"}\n', "d/1.jsonl": b'{"_id": "2", "body": "b"}\n', "d/2.jsonl": b""},
        [("1", None, "a")],
        ('"text" is missing',),
        given="d",
    ),
    Case(
        "a partitioned folder",
        {
            "d/lang=en/part-0.parquet": {"id": ["1"], "text": ["red apples"]},
            "d/lang=de/part-0.parquet": {"id": ["2"], "text": ["green pears"]},
            "d/_SUCCESS": b"",
            "d/README.md": b"# about",
        },
        PLAIN,
        given="d",
    ),
    Case(
        "a column that the folders give",
        {
            "d/topic=r%20d/0.parquet": {"id": ["1"], "text": ["red apples"]},
            "d/topic=__HIVE_DEFAULT_PARTITION__/0.parquet": {"id": ["2"], "text": ["green pears"]},
        },
        [("1", "r d", "red apples"), ("2", None, "green pears")],
        given="d",
        options={"document_title": "topic"},
    ),
    Case("nested folders", {"d/a/0.jsonl": JSONL[:35], "d/a/b/1.jsonl": JSONL[35:]}, PLAIN, given="d"),
    Case("formats mixed in a folder", {"d/a.jsonl": JSONL, "d/b.csv": CSV}, says="files of several formats", given="d"),
    Case(
        "a file of no format in a folder",
        {"d/a.jsonl": JSONL, "d/b.bin": b"x"},
        says="format cannot be told",
        given="d",
    ),
    Case(
        "a hidden shard",
        {"d/a.jsonl": JSONL, "d/_b.jsonl": JSONL},
        says="the name of '_b.jsonl' begins with '_'",
        given="d",
    ),
    # Names.
    *map(named, ("v[a].jsonl", "{va,1}.jsonl", "v?.jsonl", "*.jsonl", "v\\a.jsonl", "v:a.jsonl", "va,1.jsonl")),
    *map(named, ("v%20a.jsonl", "v#a.jsonl", "a=b.jsonl", " v a .jsonl", "v`a'\".jsonl", "v+a.jsonl", "v\na.jsonl")),
    *(
        Case(f"a folder {name}", {f"{name}/0.{form}": content}, PLAIN, given=name)
        for name, form, content in (
            ("a [1] {b,c}", "csv", CSV),
            ("a:b?c*", "parquet", {"id": IDS, "text": TEXTS}),
            ("k=v,#%41", "tsv", TSV),
        )
    ),
    Case("Parquet of a name with a colon", {"a:[b].parquet": {"id": IDS, "text": TEXTS}}, PLAIN),
    Case("csv of a name with a colon", {"a:{b}.csv": CSV}, PLAIN),
    Case("a hidden file", {"_d.jsonl": JSONL}, says="the name of '_d.jsonl' begins with '_'"),
    Case("a file with a dot", {".d.csv": CSV}, says="the name of '.d.csv' begins with '.'"),
    # Compressions and what is no text.
    Case("gzip", {"d.jsonl.gz": gzip.compress(JSONL[:35]) + gzip.compress(JSONL[35:])}, PLAIN),
    Case("gzip in capitals", {"d.jsonl.GZ": gzip.compress(JSONL)}, PLAIN),
    Case("bzip2", {"d.csv.bz2": bz2.compress(CSV)}, PLAIN),
    Case("zstd", {"d.jsonl.zst": compressed("zstd")}, PLAIN),
    Case("the tool lz4", {"d.jsonl.lz4": compressed("lz4")}, says="it is compressed by the tool lz4"),
    Case("xz", {"d.jsonl.xz": lzma.compress(JSONL)}, says="cannot be told from the name (….xz)"),
    Case("xz under another name", {"d.jsonl": lzma.compress(JSONL)}, says="it is compressed by xz"),
    Case("gzip under another name", {"d.csv": gzip.compress(CSV)}, says="it is compressed (.gz)"),
    Case("no gzip under its name", {"d.csv.gz": CSV}, says="not compressed so"),
    Case("zip", {"d.jsonl": archived("zip")}, says="it is a zip archive"),
    Case("tar", {"d.jsonl": archived("tar")}, says="it is a tar archive"),
    Case("Parquet under another name", {"d.jsonl": brotli("id")}, says="it is a Parquet file"),
    Case("text called Parquet", {"d.parquet": CSV}, says="it is not a Parquet file"),
    # Encodings and ends of lines.
    Case("csv in UTF-16", {"d.csv": CSV.decode().encode("utf-16")}, says="it is text in UTF-16"),
    Case(
        "jsonl in UTF-16 without a mark", {"d.jsonl": JSONL.decode().encode("utf-16-le")}, says="it is text in UTF-16"
    ),
    Case("csv in latin-1", {"d.csv": b"id,text\n1,red apples\n2,caf\xe9\n"}, PLAIN[:1], ("not UTF-8",)),
    Case("a mark and carriage returns", {"d.csv": b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n")}, PLAIN),
    Case(
        "a mark and carriage returns in tsv",
        {"d.tsv": b"\xef\xbb\xbfid\ttext\r\n" + TSV.replace(b"\n", b"\r\n")},
        PLAIN,
    ),
    Case("carriage returns alone", {"d.csv": CSV.replace(b"\n", b"\r")}, says="end in carriage returns alone"),
    Case("no line feed at the end", {"d.csv": CSV[:-1]}, PLAIN),
    # csv and tsv.
    Case(
        "an open quote",
        {"d.csv": b'id,text\n1,5" screen\n2,"open\n3,plain\n4,last\n'},
        says="d.csv line 3: a quote is opened",
    ),
    Case("quotes that do not pair", {"d.csv": b'id,text\n1,"a\n2,"b\n3,c\n'}, says="d.csv line 2: a quote is opened"),
    Case(
        "a quote within a cell",
        {"d.csv": b'id,text\n1,"a"b\n2,green pears\n'},
        PLAIN[1:],
        ("quote does not end as one",),
    ),
    Case(
        "an open quote at the end", {"d.csv": b'id,text\n1,red apples\n2,"b'}, PLAIN[:1], ("quote does not end as one",)
    ),
    Case("what pandas writes", {"d.csv": FRAME.to_csv().encode()}, PLAIN),
    Case("what pandas writes with tabs", {"d.csv": FRAME.to_csv(sep="\t").encode()}, PLAIN),
    Case("semicolons", {"d.csv": FRAME.to_csv(sep=";", index=False).encode()}, PLAIN),
    Case("a trailing comma", {"d.csv": CSV.replace(b"\n", b",\n")}, PLAIN),
    Case("a trailing comma but in the header", {"d.csv": b"id,text\n1,red apples,\n2,green pears,\n"}, PLAIN),
    Case(
        "too many and too few cells", {"d.csv": CSV + b"3,a,b\n4\n"}, PLAIN, ("number of columns", "number of columns")
    ),
    Case("a name twice", {"d.csv": b"id,text,text\n1,x,red apples\n"}, says="Say which one with --document-text"),
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
    Case("no header", {"d.csv": b"1,red apples\n2,green pears\n"}, says="d.csv: it"),
    Case("a tsv with a header", {"d.tsv": b"pid\tpassage\n" + TSV}, PLAIN),
    Case("a tsv whose text has an unusual name", {"d.tsv": b"#id\tabstract\n" + TSV}, PLAIN),
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
        says="in its first line it has no column 'nr'",
        options={"document_id": "nr"},
    ),
    Case(
        "a tsv with quotes, read as csv",
        {"d.tsv": FRAME.assign(text=['red "apples"', "green\npears"]).to_csv(sep="\t", index=False).encode()},
        [("1", None, 'red "apples"'), ("2", None, "green\npears")],
        options={"documents_format": "csv"},
    ),
    Case(
        "MS MARCO's documents",
        {"d.tsv": b"D1\thttps://a.b/c\tApples\tred apples\nD2\thttp://a.b\t\tgreen pears\n"},
        [("D1", "Apples", "red apples"), ("D2", "", "green pears")],
    ),
]


def written(case: Case, folder: Path) -> dict[str, str]:
    """Options that read the case's files, after they are written."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            pq.write_table(content if isinstance(content, pa.Table) else pa.table(content), path)
    given = case.given or next(iter(case.files))
    return {"documents": str(folder / given), **case.options}


def rows_of(found: list[Any]) -> tuple[list[Row], list[str]]:
    """Rows and reasons, in the order of ids and of places."""
    rows = [(row["doc_id"], row["title"], row["text"]) for row in found if row["reason"] is None]
    bad = sorted((row for row in found if row["reason"] is not None), key=lambda row: (row["file"], row["seq"]))
    return sorted(rows), [row["reason"] for row in bad]


def records_of(session: SparkSession, options: dict[str, str]) -> DataFrame:
    (source,) = named_sources(session, IngestTexts(lake="unused", **options))
    return records(session, source)


def ingested(session: SparkSession, options: dict[str, str]) -> list[Any]:
    """What is read alone. Raises the error that the job would end with."""
    try:
        with exact_names(session):
            return records_of(session, options).collect()
    except Exception as error:
        if isinstance(error, SpladelakeError):
            raise
        raise explained(error) or error from None


def surveyed(options: dict[str, str]) -> Finding:
    return plan("unused", options).findings["documents"]


@pytest.fixture(scope="module")
def read(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], list[Any]]]:
    """(options, records) by case, of all that can be read: together, since each job of Spark takes its time."""
    options = {case.name: written(case, tmp_path_factory.mktemp("case")) for case in CASES if case.says is None}
    with exact_names(spark):
        frames = [records_of(spark, given).withColumn("case", F.lit(name)) for name, given in options.items()]
        found = reduce(DataFrame.unionByName, frames).collect()
    return {name: (given, [row for row in found if row["case"] == name]) for name, given in options.items()}


@pytest.mark.parametrize("case", [c for c in CASES if c.says is None], ids=lambda case: case.name)
def test_what_ingest_texts_reads_init_finds(read: dict[str, tuple[dict[str, str], list[Any]]], case: Case) -> None:
    options, found = read[case.name]
    rows, reasons = rows_of(found)
    assert rows == sorted(case.rows)
    assert len(reasons) == len(case.rejected)
    assert all(piece in reason for piece, reason in zip(case.rejected, reasons, strict=True))
    finding = surveyed(options)
    assert (finding.rows, finding.rejected) == (len(rows) + len(reasons), len(reasons))
    assert not reasons or finding.reason == reasons[0]


@pytest.mark.parametrize("case", [c for c in CASES if c.says is not None], ids=lambda case: case.name)
def test_what_ingest_texts_refuses_init_refuses_before(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    options = written(case, tmp_path)
    for look in (lambda: ingested(spark, options), lambda: surveyed(options)):
        with pytest.raises(SpladelakeError) as raised:
            look()
        assert str(case.says) in str(raised.value)
        assert raised.value.exit_code == (2 if "cannot be told" in str(case.says) else 3)
