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
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import IngestTexts
from spladelake.errors import SpladelakeError
from spladelake.spark.ingest.columns import exact_names
from spladelake.spark.ingest.sources import named_sources, records
from spladelake.spark.session.failures import known_error
from spladelake.spark.session.file_uris import shown_path
from spladelake.survey.findings import Finding
from spladelake.survey.plan import plan

Table = dict[str, Any] | pa.Table
Row = tuple[str, str | None, str | None]
PLAIN = [("1", None, "red apples"), ("2", None, "green pears")]
IDS, TEXTS = ["1", "2"], ["red apples", "green pears"]
JSONL = b'{"_id": "1", "text": "red apples"}\n{"_id": "2", "text": "green pears"}\n'
CSV = b"id,text\n1,red apples\n2,green pears\n"
TSV = b"1\tred apples\n2\tgreen pears\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


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


def lz4(content: bytes, codec: str = "lz4") -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as out:
        out.write(content)
    return sink.getvalue().to_pybytes()


def zstd(content: bytes) -> bytes:
    return lz4(content, "zstd")


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


DOTTED = pa.struct([("a.b", pa.string()), ("t", pa.timestamp("ns"))])
ODD_NAMES = ("_metadata", "__index_level_0__", "a.b`c\nd", "__file", "_corrupt_record", "x y")
INTEGERS = (pa.int8(), pa.uint32(), pa.uint64(), pa.string())
# Each is a pattern, or means something else, to some reader.
FILE_NAMES = [
    *("v[a].jsonl", "{va,1}.jsonl", "v?.jsonl", "*.jsonl", "v\\a.jsonl", "v:a.jsonl", "va,1.jsonl", "v%20a.jsonl"),
    *("v#a.jsonl", "a=b.jsonl", " v a .jsonl", "v`a'\".jsonl", "v+a.jsonl", "v\na.jsonl", "va.jsonl", "é.jsonl"),
]
CASES = [
    # Columns that nobody asks for.
    Case(
        "columns of other types",
        {
            "d.parquet": {
                "id": IDS,
                "text": TEXTS,
                "nanoseconds": pa.array([1, 2], pa.timestamp("ns")),
                "time": pa.array([1, 2], pa.time64("ns")),
                "half": pa.array(np.array([1, 2], np.float16)),
                "none": pa.nulls(2),
                "decimal": pa.array([Decimal(1), Decimal(2)], pa.decimal256(50, 0)),
                "lists": pa.array([[1], [2]], pa.large_list(pa.int32())),
                "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
                "duration": pa.array([1, 2], pa.duration("ns")),
                "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, b"b" * 16], pa.binary(16))),
            }
        },
        PLAIN,
    ),
    Case(
        "columns of other names",
        {
            "d.parquet": {"id": IDS, "text": TEXTS}
            | {name: ["x", "y"] for name in (*ODD_NAMES, "file", "seq", "Text", "ID")}
        },
        PLAIN,
    ),
    Case(
        "two columns of one name beside those that are meant",
        {"d.parquet": pa.table([IDS, TEXTS, IDS, IDS], names=["id", "text", "z", "z"])},
        PLAIN,
    ),
    # Columns that are meant.
    Case(
        "meant columns of other names",
        {"d.parquet": {"_metadata": IDS, "__index_level_0__": ["A", None], "a.b`c\nd": TEXTS}},
        [("1", "A", "red apples"), ("2", None, "green pears")],
        options={
            "document_id": "_metadata",
            "document_title": "__index_level_0__",
            "document_text": "a.b`c\nd",
        },
    ),
    Case(
        "texts as categories and large strings, and titles without a value",
        {
            "d.parquet": {
                "id": pa.array(IDS, pa.large_string()),
                "title": pa.nulls(2),
                "text": pa.array(TEXTS).dictionary_encode(),
            }
        },
        PLAIN,
    ),
    Case(
        "shards of ids of other types",
        {
            f"d/{n}.parquet": {
                "id": pa.array([str(n)], kind) if kind == pa.string() else pa.array([n], kind),
                "text": [str(kind)],
            }
            for n, kind in enumerate(INTEGERS)
        },
        [(str(n), None, str(kind)) for n, kind in enumerate(INTEGERS)],
        given="d",
    ),
    Case(
        "ids of decimals with and without a fraction",
        {"d.parquet": {"id": pa.array([Decimal("1.50"), Decimal("2.00")]), "text": TEXTS}},
        PLAIN[1:],
        ("1.50; numbers as ids must be whole",),
    ),
    Case(
        "ids of all digits that Spark has",
        {"d.parquet": {"id": pa.array([Decimal(9 * 10**37), None], pa.decimal128(38, 0)), "text": TEXTS}},
        [("9" + "0" * 37, None, "red apples")],
        ('"id" is missing; every record needs one',),
    ),
    Case(
        "ids of floating point numbers that are too large to be exact",
        {"d.parquet": {"id": pa.array([1, 2**24], pa.float32()), "text": TEXTS}},
        PLAIN[:1],
        ("numbers as ids must be whole and small enough to be exact",),
    ),
    Case(
        "texts in nanoseconds",
        {"d.parquet": {"id": IDS, "text": pa.array([1, 2], pa.timestamp("ns"))}},
        says="column 'text' has the type timestamp[ns]; wanted a string for text",
    ),
    Case(
        "ids of more digits than Spark has",
        {"d.parquet": {"id": pa.array([Decimal(1), Decimal(2)], pa.decimal256(50, 0)), "text": TEXTS}},
        says="column 'id' has the type decimal256(50, 0)",
    ),
    Case(
        "two texts of one name",
        {"d.parquet": pa.table([IDS, TEXTS, TEXTS], names=["id", "text", "text"])},
        says="the file has several columns 'text'",
    ),
    Case(
        "a field with a dot in its name",
        {"d.parquet": {"id": IDS, "meta": pa.array([{"a.b": "x", "t": 1}] * 2, DOTTED)}},
        says="no column is called 'meta.a.b'",
        options={"document_text": "meta.a.b"},
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
        says="p-1.parquet: no column is called 'text'",
        given="d",
    ),
    Case(
        "a shard of no bytes",
        {"d/p-0.parquet": {"id": IDS, "text": TEXTS}, "d/p-1.parquet": b""},
        says="the file is empty",
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
        says="1.csv: ",
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
        says="the input has two headers",
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
        "shards of jsonl with titles of other cases",
        {
            "d/0.jsonl": b'{"_id": "1", "Title": "A", "text": "a"}\n',
            "d/1.jsonl": b'{"_id": "2", "title": "B", "text": "b"}\n',
        },
        [("1", "A", "a"), ("2", "B", "b")],
        given="d",
    ),
    Case(
        "a column that the folders give",
        {
            "d/topic=r%20d/0.parquet": {"id": ["1"], "text": ["red apples"]},
            "d/topic=__HIVE_DEFAULT_PARTITION__/0.parquet": {"id": ["2"], "text": ["green pears"]},
            "d/_SUCCESS": b"",
            "d/README.md": b"# about",
        },
        [("1", "r d", "red apples"), ("2", None, "green pears")],
        given="d",
        options={"document_title": "topic"},
    ),
    Case("formats mixed in a folder", {"d/a.jsonl": JSONL, "d/b.csv": CSV}, says="files of several formats", given="d"),
    Case(
        "a file of no format in a folder",
        {"d/a.jsonl": JSONL, "d/b.bin": b"x"},
        says="does not show the format",
        given="d",
    ),
    Case(
        "a hidden shard",
        {"d/a.jsonl": JSONL, "d/_b.jsonl": JSONL},
        says="the name of '_b.jsonl' begins with '_'",
        given="d",
    ),
    # Names.
    Case(
        "a folder of files of any names",
        {f"a [1] {{b,c}}/{n % 3}/{name}": b'{"_id": "%d", "text": "x"}\n' % n for n, name in enumerate(FILE_NAMES)},
        [(str(n), None, "x") for n in range(len(FILE_NAMES))],
        given="a [1] {b,c}",
    ),
    Case(
        "a folder of Parquet, and a colon", {"a:b?c*/v:[1].parquet": {"id": IDS, "text": TEXTS}}, PLAIN, given="a:b?c*"
    ),
    Case(
        "a hidden folder of shards",
        {"d/a.jsonl": JSONL, "d/_more/b.jsonl": JSONL},
        says="the name of the folder '_more', which has data files",
        given="d",
    ),
    Case(
        "hidden folders of tools",
        {"d/a.jsonl": JSONL, "d/_temporary/0/a.jsonl": JSONL, "d/.git/b.jsonl": b"", "d/_more/c.log": b"x"},
        PLAIN,
        given="d",
    ),
    Case("a hidden file", {"_d.jsonl": JSONL}, says="the name of '_d.jsonl' begins with '_'"),
    Case("a file with a dot", {".d.csv": CSV}, says="the name of '.d.csv' begins with '.'"),
    # Compressions and what is no text.
    Case(
        "every compression",
        {
            "d/0.jsonl.gz": gzip.compress(JSONL[:35]) + gzip.compress(JSONL[35:]),
            "d/1.jsonl.GZ": gzip.compress(b'{"_id": "3", "text": "x"}'),
            "d/2.json.bz2": bz2.compress(b'{"_id": "4", "text": "x"}\r\n'),
            # The first frame is one of pzstd's, which hold no data.
            "d/3.ndjson.zst": b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstd(b'{"_id": "5", "text": "x"}\n') + zstd(b"\n"),
        },
        [*PLAIN, ("3", None, "x"), ("4", None, "x"), ("5", None, "x")],
        given="d",
    ),
    Case("the tool lz4", {"d.jsonl.lz4": lz4(JSONL)}, says="the file is compressed by the tool lz4"),
    Case("xz", {"d.jsonl.xz": lzma.compress(JSONL)}, says="the file is compressed by xz"),
    Case("brotli", {"d.jsonl.br": lz4(JSONL, "brotli")}, says="the file is compressed by brotli"),
    Case("a spreadsheet", {"d.xlsx": archived("zip")}, says="the file is a spreadsheet"),
    Case("an archive in gzip", {"d.jsonl.tar.gz": gzip.compress(archived("tar"))}, says="the file is an archive"),
    Case("compress", {"d.jsonl.Z": b"\x1f\x9d\x90"}, says="the file is compressed by the Unix tool compress"),
    Case("a pointer of Git LFS", {"d.parquet": LFS}, says="the file is a pointer of Git LFS"),
    Case("a web page", {"d.csv": b"<!DOCTYPE html>\n<html></html>\n"}, says="the file is a web page"),
    Case("Parquet in gzip", {"d.parquet": gzip.compress(b"PAR1")}, says="the file is compressed (.gz)"),
    Case("snappy", {"d.jsonl.snappy": b"\xff\x06\x00\x00sNaPpY"}, says="the file is compressed by a snappy tool"),
    Case("a name that shows nothing", {"d.text": JSONL}, says="the name of d.text does not show the format"),
    Case("xz under another name", {"d.jsonl": lzma.compress(JSONL)}, says="the file is compressed by xz"),
    Case("gzip under another name", {"d.csv": gzip.compress(CSV)}, says="but its name does not end in .gz"),
    Case(
        "no gzip under its name",
        {"d.csv.gz": CSV},
        says="the file is damaged or not compressed by gzip, but its name ends in .gz",
    ),
    Case("zip", {"d.jsonl": archived("zip")}, says="the file is a zip archive"),
    Case("tar", {"d.jsonl": archived("tar")}, says="the file is a tar archive"),
    Case("Parquet under another name", {"d.jsonl": brotli("id")}, says="the file is a Parquet file"),
    Case("text called Parquet", {"d.parquet": CSV}, says="the file is damaged, or not a Parquet file"),
    # Encodings and ends of lines.
    Case("csv in UTF-16", {"d.csv": CSV.decode().encode("utf-16")}, says="the file is text in UTF-16"),
    Case(
        "jsonl in UTF-16 without a mark",
        {"d.jsonl": JSONL.decode().encode("utf-16-le")},
        says="the file is text in UTF-16",
    ),
    Case("carriage returns alone", {"d.csv": CSV.replace(b"\n", b"\r")}, says="end in carriage returns alone"),
    # Dialects: tests/unit/survey/test_dialects.py has all; here one of each kind goes through Spark.
    Case(
        "csv in latin-1, with too many cells, and a cell over lines",
        {"a:{b}.csv": b'\xef\xbb\xbf,id,text\r\n0,1,red apples\r\n1,2,"a, ""b""\r\nc"\r\n2,3,caf\xe9\r\n3,4,x,y'},
        [("1", None, "red apples"), ("2", None, 'a, "b"\r\nc')],
        ("not UTF-8", "the header has"),
    ),
    Case("an open quote", {"d.csv": b'id,text\n1,5" screen\n2,"open\n3,x\n'}, says="d.csv line 3: a quote opens"),
    Case("a name twice", {"d.csv": b"id,text,text\n1,x,red apples\n"}, says="Set --document-text to "),
    Case("no header", {"d.csv": b"1,red apples\n2,green pears\n"}, says="d.csv: "),
    Case("a tsv with a header", {"d.tsv": b"\xef\xbb\xbfpid\tpassage\r\n" + TSV.replace(b"\n", b"\r\n")}, PLAIN),
    Case(
        "columns that a tsv does not name",
        {"d.tsv": TSV},
        says="line 1: no column is called 'nr'",
        options={"document_id": "nr"},
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
        raise known_error(error) or error from None


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


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_name_that_is_there_means_itself(spark: SparkSession, tmp_path: Path, name: str) -> None:
    for other in FILE_NAMES:
        (tmp_path / other).write_bytes(JSONL)
    (source,) = named_sources(spark, IngestTexts(lake="unused", documents=str(tmp_path / name)))
    assert [shown_path(file.path) for file in source.listed(spark)] == [str(tmp_path / name)]
    finding = surveyed({"documents": str(tmp_path / name)})
    assert [str(file) for file in finding.sample.source.files] == [str(tmp_path / name)]


def test_a_pattern_names_several_files(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a-1.jsonl", "a-2.jsonl", "b-1.jsonl"):
        (tmp_path / name).write_bytes(JSONL)
    (source,) = named_sources(spark, IngestTexts(lake="unused", documents=f"{tmp_path}/a-*.jsonl"))
    assert [Path(file.path).name for file in source.listed(spark)] == ["a-1.jsonl", "a-2.jsonl"]


@pytest.mark.parametrize("folder", ["v[1]", "{v1,v2}", "v?", "*", "v\\1"])
def test_a_folder_that_is_there_means_itself_in_a_pattern(spark: SparkSession, tmp_path: Path, folder: str) -> None:
    for name in ("v1", "v2", folder):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a-{name}.jsonl").write_bytes(JSONL)
    (source,) = named_sources(spark, IngestTexts(lake="unused", documents=f"{tmp_path}/{folder}/a-*.jsonl"))
    assert [shown_path(file.path) for file in source.listed(spark)] == [f"{tmp_path}/{folder}/a-{folder}.jsonl"]


@pytest.mark.parametrize("case", [c for c in CASES if c.says is None], ids=lambda case: case.name)
def test_what_ingest_texts_reads_init_finds(read: dict[str, tuple[dict[str, str], list[Any]]], case: Case) -> None:
    options, found = read[case.name]
    rows, reasons = rows_of(found)
    assert rows == sorted(case.rows)
    assert len(reasons) == len(case.rejected)
    assert all(piece in reason for piece, reason in zip(case.rejected, reasons, strict=True))
    finding = surveyed(options)
    assert (finding.rows, finding.rejected) == (len(rows) + len(reasons), len(reasons))
    assert not reasons or case.rejected[0] in finding.reason


@pytest.mark.parametrize("case", [c for c in CASES if c.says is not None], ids=lambda case: case.name)
def test_what_ingest_texts_refuses_init_refuses_before(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    options = written(case, tmp_path)
    for look in (lambda: ingested(spark, options), lambda: surveyed(options)):
        with pytest.raises(SpladelakeError) as raised:
            look()
        assert str(case.says) in str(raised.value)
        assert raised.value.exit_code == (2 if "does not show the format" in str(case.says) else 3)
