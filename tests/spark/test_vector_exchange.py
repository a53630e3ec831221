"""Vectors written for other engines come back as they were; files that are none of the format are told."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from pyspark.sql import SparkSession

from spladelake.errors import DataError, SpladelakeError, UsageError
from spladelake.spark.exchange.export_folder import make_room, manifest_in
from spladelake.spark.exchange.parquet_vectors import parquet_vectors
from spladelake.spark.session.failures import known_error
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VOCABULARY
from support.cases import mostly_slow
from support.tables import table_rows
from support.vector_tables import TERMS, random_vectors, write_vectors

# Names that a careless writer would break.
TOKENS = ['"', ".", "é", "##a", "a b", "\\", "{", "\u2028", *(f"t{n}" for n in range(8, TERMS))]


@pytest.fixture(scope="module")
def given(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A lake of 30 random vectors in three files, one of them empty, with a vocabulary of awkward names."""
    folder = tmp_path_factory.mktemp("exchange")
    lake = str(folder / "lake")
    rng = np.random.default_rng(4)
    vectors = random_vectors(rng, [f'd "{n:02}" é' for n in range(30)], levels=30)
    vectors['d "00" é'] = {}
    write_vectors(spark, f"{lake}/vectors/m/documents", vectors, files=3)
    rows = spark.createDataFrame(list(enumerate(TOKENS)), VOCABULARY.struct)
    rows.write.format("delta").save(f"{lake}/vectors/m/vocabulary")
    return SimpleNamespace(folder=folder, lake=lake, vectors=vectors)


def exported(run_job: Any, given: Any, output_format: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    folder = given.folder / output_format
    run_job("export_vectors", lake=given.lake, vectors="m", output=str(folder), output_format=output_format, **options)
    return folder, json.loads((folder / "export.json").read_text())


def stored(spark: SparkSession, lake: str, name: str) -> dict[str, dict[int, float]]:
    rows = table_rows(f"{lake}/vectors/{name}/documents")
    return {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in rows}


def records(folder: Path) -> list[Any]:
    lines = [line for file in sorted(folder.glob("part-*")) for line in file.read_text().split("\n")]
    return [json.loads(line) for line in lines if line]


def test_seismic_lines_come_back_to_the_last_bit(spark: SparkSession, run_job: Any, given: Any) -> None:
    folder, manifest = exported(run_job, given, "seismic")
    found = records(folder)
    assert sorted(record["id"] for record in found) == list(range(30))
    assert manifest["quantisation"] is None
    run_job("import_vectors", lake=given.lake, input=str(folder), input_format="seismic", vectors="seismic", like="m")
    assert stored(spark, given.lake, "seismic") == given.vectors
    again = run_job(
        "import_vectors", lake=given.lake, input=str(folder), input_format="seismic", vectors="seismic", like="m"
    )
    assert again["status"] == "skipped"


def test_parquet_comes_back_to_the_last_bit_without_a_vocabulary(spark: SparkSession, run_job: Any, given: Any) -> None:
    folder, manifest = exported(run_job, given, "parquet")
    done = run_job("import_vectors", lake=given.lake, input=str(folder), input_format="parquet", vectors="parquet")
    assert done["dimensions"] == manifest["dimensions"]
    assert stored(spark, given.lake, "parquet") == given.vectors


def test_parquet_of_other_programs_is_read_file_by_file_without_other_columns(
    spark: SparkSession, run_job: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    half, nanoseconds = pa.array(np.array([1], np.float16)), pa.array([1], pa.timestamp("ns"))
    files = {
        "0": {"id": ["1"], "indices": [[0, 3]], "values": [[0.5, 2.0]], "made": nanoseconds, "ID": ["x"], "half": half},
        "1": {
            "values": pa.array([[3]], pa.list_(pa.int8())),
            "id": [2.0],
            "indices": pa.array([[1]], pa.list_(pa.uint64())),
        },
        "2": {"id": pa.array([3], pa.int8()), "indices": pa.array([[4]], pa.large_list(pa.int16())), "values": [[1.5]]},
    }  # fmt: skip
    for name, columns in files.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    lake = str(tmp_path / "lake")
    run_job("import_vectors", lake=lake, input=str(folder), input_format="parquet", vectors="theirs")
    rows = table_rows(f"{lake}/vectors/theirs/documents")
    found = {row["id"]: (list(row["indices"]), list(row["values"])) for row in rows}
    assert found == {"1": ([0, 3], [0.5, 2.0]), "2": ([1], [3.0]), "3": ([4], [1.5])}


PASSAGE = {"id": "d#000000", "indices": [1, 2], "values": [1.0, 2.0], "doc_id": "d", "passage": 0, "start": 0, "end": 5}
PLAIN = {name: PASSAGE[name] for name in ("id", "indices", "values")}
FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no values": ([{"id": "a", "indices": [1]}], "no column is called values (columns: id, indices)"),
    "a matrix": ([{**PLAIN, "indices": 7}], "the column indices has the type int64"),
    "fractions as terms": ([{**PLAIN, "indices": [1.5]}], "the column indices has the type list<element: double>"),
    "no id": ([{**PLAIN, "id": None}, PLAIN], "in a row the id is missing"),
    "no vector": ([{**PLAIN, "values": None}, PLAIN], "the vector is missing"),
    "lengths": ([{**PLAIN, "values": [1.0]}], "indices and values differ in length"),
    "a null": ([{**PLAIN, "values": [1.0, None]}], "a term or a weight is null; wanted lists of numbers only"),
    "bytes as ids": ([{**PLAIN, "id": b"a"}], "column 'id' has the type binary"),
    "a fraction as id": ([{**PLAIN, "id": 1.5}], "in the row with the id '1.5' the id is a number with a fraction"),
    "half precision": (
        [{**PLAIN, "values": np.array([1, 2], np.float16)}],
        "the column values has the type list<element: halffloat>",
    ),
    "below 0": ([{**PLAIN, "indices": [-1, 2]}], "a term is below 0; wanted numbers from 0"),
    "a term twice": ([{**PLAIN, "indices": [2, 2]}], "a term occurs twice"),
    "half a place": ([{**PLAIN, "passage": 0}], "a column passage, but none called doc_id, start, end"),
    "no place": ([{**PASSAGE, "start": None}, PASSAGE], "a column of the passage is null"),
    "another id": (
        [{**PASSAGE, "id": "d#1"}],
        "the id 'd#1' the id does not fit doc_id and passage; wanted doc_id, # and the number of the passage in six",
    ),
    "before the text": ([{**PASSAGE, "start": -1}], "the start of the passage is below 0; wanted a start of 0 or more"),
    "backwards": ([{**PASSAGE, "start": 9}], "the passage ends before it starts"),
    "a gap": (
        [PASSAGE, {**PASSAGE, "id": "d#000002", "passage": 2}],
        "document 'd' has 2 passages, and their numbers go from 0 to 2; wanted the numbers 0, 1, 2 … without a gap",
    ),
    "no first passage": (
        [{**PASSAGE, "id": "d#000001", "passage": 1}],
        "document 'd' has 1 passage, and its number is 1; wanted the numbers 0, 1, 2 …",
    ),
    "a passage twice": (
        [PASSAGE, PASSAGE],
        "document 'd' has a passage more than once; wanted each passage once. Remove the repeated files or rows.",
    ),
    "a passage twice and a gap": (
        [PASSAGE, PASSAGE, {**PASSAGE, "id": "d#000002", "passage": 2}],
        "document 'd' has a passage more than once",
    ),
}


def test_parquet_that_holds_no_vectors_is_told_with_the_row_or_the_column(spark: SparkSession, tmp_path: Path) -> None:
    for number, (rows, said) in enumerate(FAULTS.values()):
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
        with pytest.raises(DataError) as error:
            parquet_vectors(spark, str(file), side="documents")
        assert said in str(error.value)
        assert file.name in str(error.value)
    others = {
        "text.parquet": (b'{"id": "a"}', "damaged, or not a Parquet file; .* or correct its format option"),
        "packed.parquet": (gzip.compress(file.read_bytes()), r"compressed \(\.gz\); wanted a Parquet file"),
        "none.parquet": (b"", "the file is empty; wanted a Parquet file"),
    }
    for name, (content, said) in others.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: .*{said}"):
            parquet_vectors(spark, str(tmp_path / name), side="documents")
    (tmp_path / "cut.parquet").write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match="wanted a complete Parquet file"):
        parquet_vectors(spark, str(tmp_path / "cut.parquet"), side="documents")


@pytest.mark.parametrize("output_format", [pytest.param("anserini", marks=pytest.mark.slow), "ciff"])
def test_whole_numbers_come_back_within_the_stated_error(
    spark: SparkSession, run_job: Any, given: Any, output_format: str
) -> None:
    folder, manifest = exported(run_job, given, output_format, levels=20)
    step = manifest["quantisation"]["step"]
    assert step == pytest.approx(3.0 / 20, rel=1e-6)
    result = run_job(
        "import_vectors", lake=given.lake, input=str(folder), input_format=output_format, vectors=output_format,
        like="m",
    )  # fmt: skip
    assert result["step"] == step
    found = stored(spark, given.lake, output_format)
    assert found.keys() == given.vectors.keys()
    for doc_id, vector in given.vectors.items():
        assert found[doc_id].keys() == vector.keys()
        for term, weight in vector.items():
            assert abs(found[doc_id][term] - weight) <= manifest["quantisation"]["largest_error_of_a_weight"]
            assert found[doc_id][term] / step == pytest.approx(max(1, round(weight / step)), rel=1e-6)


@pytest.mark.slow
def test_the_reader_of_the_ciff_toolkit_reads_the_same_index(run_job: Any, given: Any) -> None:
    from ciff_toolkit.read import CiffReader

    folder, manifest = exported(run_job, given, "ciff", levels=20)
    with CiffReader(folder / "index.ciff") as reader:
        header = reader.read_header()
        lists = {p.term: p for p in reader.read_postings_lists()}
        documents = [(d.docid, d.collection_docid, d.doclength) for d in reader.read_documents()]
    step = manifest["quantisation"]["step"]
    impacts = {i: {t: max(1, round(w / step)) for t, w in v.items()} for i, v in given.vectors.items()}
    ids = sorted(given.vectors)
    assert documents == [(n, i, sum(impacts[i].values())) for n, i in enumerate(ids)]
    assert list(lists) == sorted({TOKENS[t] for v in given.vectors.values() for t in v}, key=str.encode)
    assert (header.num_postings_lists, header.num_docs) == (len(lists), 30)
    for term, found in lists.items():
        places = np.cumsum([p.docid for p in found.postings]).tolist()
        assert dict(zip([ids[n] for n in places], [p.tf for p in found.postings], strict=True)) == {
            i: v[TOKENS.index(term)] for i, v in impacts.items() if TOKENS.index(term) in v
        }


@pytest.mark.slow
def test_bulk_lines_name_terms_by_number_and_keep_every_weight(run_job: Any, given: Any) -> None:
    folder, manifest = exported(run_job, given, "opensearch", gzip=False)
    found = records(folder)
    assert manifest["terms"] == "numbers"
    vectors = {
        action["index"]["_id"]: {int(t): w for t, w in document["splade"].items()}
        for action, document in zip(found[::2], found[1::2], strict=True)
    }
    assert vectors.keys() == given.vectors.keys()
    for doc_id, vector in given.vectors.items():
        assert {t: np.float32(w) for t, w in vectors[doc_id].items()} == {t: np.float32(w) for t, w in vector.items()}


def loaded(folder: Path, output_format: str) -> list[tuple[str, dict[int, float]]]:
    """Id and vector of every document in the files of an export, as the readers of the format see them."""
    names = {name: n for n, name in enumerate(TOKENS)}
    if output_format == "parquet":
        rows = [row for file in sorted(folder.glob("train-*.parquet")) for row in pq.read_table(file).to_pylist()]
        return [(row["id"], dict(zip(row["indices"], row["values"], strict=True))) for row in rows]
    if output_format == "npz":
        found = []
        for file in sorted(folder.glob("part-*.npz")):
            matrix, ids = sp.load_npz(file), np.load(file)["ids"]
            assert matrix.shape == (len(ids), TERMS)
            rows = [matrix[n] for n in range(len(ids))]
            vectors = [dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in rows]
            found += list(zip(ids.tolist(), vectors, strict=True))
        return found
    lines = records(folder)
    if output_format in ("opensearch", "elasticsearch"):
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return [(action["index"]["_id"], {int(t): w for t, w in body["splade"].items()}) for action, body in pairs]
    if output_format == "qdrant":
        points = [(line["payload"]["doc_id"], line["vector"]["splade"]) for line in lines]
        return [(i, dict(zip(vector["indices"], vector["values"], strict=True))) for i, vector in points]
    key = "content" if output_format == "seismic" else "id"
    return [(line[key], {names[t]: w for t, w in line["vector"].items()}) for line in lines]


def stop_after_first_part(spark: SparkSession, folder: Path, export: Callable[[], Any]) -> None:
    """Run an export until it has finished one part, and let none of its Spark jobs end from then on."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(export)
        while not running.done():
            if any(folder.glob(".parts-*/00000/_SUCCESS")):
                spark.sparkContext.cancelAllJobs()
            time.sleep(0.002)
    assert running.exception() is not None, "it had ended before it could be stopped"


PARTITIONED = ("anserini", "seismic", "opensearch", "elasticsearch", "qdrant", "npz", "parquet")


@pytest.mark.parametrize("output_format", mostly_slow(PARTITIONED, 0))
def test_a_stopped_export_goes_on_after_the_parts_that_are_done_and_has_every_document_once(
    spark: SparkSession, run_job: Any, given: Any, output_format: str
) -> None:
    folder = given.folder / f"stopped [1] {{a,b}} {output_format}"  # no character of the path stands for others
    options = {"lake": given.lake, "vectors": "m", "output": str(folder), "output_format": output_format, "levels": 30}
    stop_after_first_part(spark, folder, lambda: run_job("export_vectors", **options))
    (parts,) = folder.glob(".parts-*")
    done = {file.stat().st_mtime_ns for file in (parts / "00000").glob("[!_.]*")}
    assert done
    assert not (parts / "00002" / "_SUCCESS").exists()
    result = run_job("export_vectors", **options)
    assert (result["status"], result["rows"]) == ("written", 30)
    assert done <= {file.stat().st_mtime_ns for file in folder.iterdir()}  # what was done was not done again
    found = loaded(folder, output_format)
    assert sorted(i for i, _ in found) == sorted(given.vectors)
    scale = 10.0 if output_format == "anserini" else 1.0  # 30 levels up to the largest weight, 3.0
    for doc_id, vector in found:
        wanted = {term: np.float32(weight) * scale for term, weight in given.vectors[doc_id].items()}
        assert vector == pytest.approx(wanted, rel=1e-6)
    assert not list(folder.glob(".parts*"))
    assert run_job("export_vectors", **options)["status"] == "skipped"


@pytest.mark.slow
def test_an_export_that_stopped_while_files_were_moved_loses_none(run_job: Any, given: Any) -> None:
    _, manifest = exported(run_job, given, "qdrant")
    folder = given.folder / "moving"
    parts = folder / f".parts-{manifest['fingerprint'][:12]}"
    moves = {}
    for number in range(3):
        part = parts / f"{number:05}"
        part.mkdir(parents=True)
        (part / "_SUCCESS").touch()
        (part / "part.txt").write_text(f'{{"id": {number}}}\n')
        moves[str(part / "part.txt")] = f"part-{number:05}.jsonl"
    (parts / "moves.json").write_text(json.dumps(moves))
    (parts / "00000" / "part.txt").rename(folder / "part-00000.jsonl")
    run_job("export_vectors", lake=given.lake, vectors="m", output=str(folder), output_format="qdrant")
    assert records(folder) == [{"id": 0}, {"id": 1}, {"id": 2}]


def test_an_export_replaces_and_deletes_only_what_an_export_wrote(spark: SparkSession, tmp_path: Path) -> None:
    def made_ready(*, fingerprint: str, force: bool = False) -> Any:
        options = SimpleNamespace(force=force, output_format="seismic")
        parts = f"{tmp_path}/.parts-{fingerprint}"
        make_room(
            cast("Any", SimpleNamespace(session=spark, options=options, output=str(tmp_path), parts=parts)),
            manifest_in(spark, str(tmp_path)),
        )

    (tmp_path / "train-data").mkdir()
    with pytest.raises(UsageError, match="'train-data', which export_vectors did not write"):
        made_ready(fingerprint="a")
    (tmp_path / "train-data").rename(tmp_path / "data")
    (tmp_path / "export.json").write_text('{"files": ["data"]}')
    with pytest.raises(UsageError, match=r"'export\.json', which"):
        made_ready(fingerprint="a")
    (tmp_path / "export.json").unlink()
    # One export was killed while its files were moved; another one comes first.
    moved, staged = "part-00000.jsonl", tmp_path / ".parts-a" / "00001" / "part.txt"
    staged.parent.mkdir(parents=True)
    staged.touch()
    moves = {str(tmp_path / ".parts-a" / "00000" / "part.txt"): moved, str(staged): "part-00001.jsonl"}
    (tmp_path / ".parts-a" / "moves.json").write_text(json.dumps(moves))
    (tmp_path / moved).touch()
    made_ready(fingerprint="a")
    assert (tmp_path / moved).exists()
    assert staged.exists()
    made_ready(fingerprint="b")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    # What is done of this very export goes where the files are wanted again.
    (tmp_path / ".parts-a").mkdir()
    made_ready(fingerprint="a", force=True)
    written = {"written_by": "spladelake 1", "files": ["part-00000.jsonl"], "fingerprint": "b"}
    (tmp_path / "export.json").write_text(json.dumps(written))
    (tmp_path / "part-00000.jsonl").touch()
    made_ready(fingerprint="a")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_an_import_replaces_no_vocabulary_or_vectors_of_others_and_mends_what_a_kill_left_out(
    spark: SparkSession, run_job: Any, given: Any, tmp_path: Path
) -> None:
    docs = tmp_path / "docs [1].txt"
    docs.write_text('{"id": "a", "vector": {"red": 2, "car": 1}}\n')
    # A reader that takes the name for a pattern reads this file instead.
    (tmp_path / "docs 1.txt").write_text('{"id": "b", "vector": {"blue": 2}}\n')
    (tmp_path / "queries.jsonl").write_text('{"id": "q", "vector": {"car": 1}}\n')
    common = {"lake": str(tmp_path / "lake"), "input_format": "anserini", "vectors": "theirs"}
    run_job("import_vectors", input=str(docs), **common)
    with pytest.raises(DataError, match="Add --like theirs"):
        run_job("import_vectors", input=str(tmp_path / "queries.jsonl"), side="queries", **common)
    ref = TableRef(path=f"{tmp_path}/lake/vectors/theirs/documents")
    assert [row["id"] for row in ref.read(spark).select("id").collect()] == ["a"]
    properties = table_properties(spark, ref)
    spark.sql(f"ALTER TABLE {ref.identifier} UNSET TBLPROPERTIES ('spladelake.vocabulary_size', 'spladelake.model')")
    assert run_job("import_vectors", input=str(docs), **common)["status"] == "skipped"
    assert table_properties(spark, ref) == properties
    assert run_job("verify_tables", lake=common["lake"])["findings"] == []  # vectors without texts are none the worse
    said = (
        r"another program wrote or changed rows .*; wanted a new table, or one to which only import_vectors has written"
    )
    with pytest.raises(UsageError, match=said):
        run_job("import_vectors", input=str(docs), **{**common, "lake": given.lake, "vectors": "m"})


BAD = {
    "not json": ("{", "anserini", "the line cannot be read as a vector: it is not JSON: "),
    "no vector": (
        '{"id": "a"}',
        "anserini",
        'it has no \'vector\'; wanted a line such as {"id": …, "vector": {term: weight, …}}',
    ),
    "a list": ('{"id": "a", "vector": [1]}', "anserini", "whose vector has a number for each term;"),
    "weight 0": ('{"id": "a", "vector": {"x": 0}}', "anserini", "term 'x' has the weight 0.0"),
    "a term twice": ('{"id": "a", "vector": {"x": 1, "x": 2}}', "anserini", "'x' occurs twice"),
    "an id twice": ('{"id": "a", "vector": {}}\n{"id": "a", "vector": {}}', "anserini", "the id 'a' occurs 2 times"),
    "nothing": ("\n", "anserini", "the input holds no vector"),
    "lines of JSON": ('{"id": "a", "vector": {"x": 1}}\n' * 5, "ciff", "the file does not begin with the header"),
    "cut off": ("\x40\x08\x01", "ciff", "the file ends within a message"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_of_another_form_is_told_with_its_place(run_job: Any, tmp_path: Path, case: str) -> None:
    text, input_format, said = BAD[case]
    file = tmp_path / "bad.jsonl"
    file.write_text(text + ("" if input_format == "ciff" else "\n"))
    with pytest.raises(Exception, match=r".") as raised:
        run_job("import_vectors", lake=str(tmp_path / "l"), input=str(file), input_format=input_format, vectors="v")
    told = raised.value if isinstance(raised.value, SpladelakeError) else known_error(raised.value)
    assert told is not None
    assert told.exit_code == 3
    assert said in str(told)
    assert "bad.jsonl" in str(told)


def test_terms_that_the_vocabulary_lacks_and_absent_files_are_refused(run_job: Any, given: Any, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "a", "vector": {"unheard-of": 1}}\n')
    common = {"lake": given.lake, "input_format": "anserini", "vectors": "v"}
    with pytest.raises(Exception, match="no term 'unheard-of'"):
        run_job("import_vectors", input=str(tmp_path / "x.jsonl"), like="m", **common)
    with pytest.raises(DataError, match="no such file"):
        run_job("import_vectors", input=str(tmp_path / "absent.jsonl"), **common)
    with pytest.raises(DataError, match="there is no vectors table"):
        run_job("export_vectors", lake=given.lake, vectors="absent", output=str(tmp_path), output_format="npz")


@pytest.mark.parametrize(
    ("output_format", "most"), mostly_slow([("opensearch", 512), ("elasticsearch", 512), ("anserini", 32_766)], 0)
)
def test_ids_that_an_engine_does_not_take_are_told_before_anything_is_written(
    spark: SparkSession, run_job: Any, tmp_path: Path, output_format: str, most: int
) -> None:
    # "é" has two bytes: an id of so many bytes is taken, one of a byte more is not.
    longest = "é" * (most // 2)
    vectors = {"a": {1: 1.0}, longest: {2: 1.0}}
    for lake, ids in (("whole", vectors), ("broken", {**vectors, longest + "x": {3: 1.0}, longest + "y": {4: 1.0}})):
        write_vectors(spark, f"{tmp_path}/{lake}/vectors/m/documents", ids)
        rows = spark.createDataFrame(list(enumerate(TOKENS)), VOCABULARY.struct)
        rows.write.format("delta").save(f"{tmp_path}/{lake}/vectors/m/vocabulary")
    asked = {"vectors": "m", "output_format": output_format}
    result = run_job("export_vectors", lake=f"{tmp_path}/whole", output=f"{tmp_path}/out", **asked)
    assert result["rows"] == 2
    with pytest.raises(
        DataError,
        match=rf"have 2 ids of more than {most:,} bytes, such as the id of {most + 1:,} bytes that begins with 'é+'",
    ):
        run_job("export_vectors", lake=f"{tmp_path}/broken", output=f"{tmp_path}/no", **asked)
    assert not (tmp_path / "no").exists()
