"""Faults inside one session: corrupt files, readers during writes, changes in any order. Nothing is lost by any."""

from __future__ import annotations

import gzip
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from spladelake.cli import main
from spladelake.encoder import resolve_checkpoint
from support.collections import write_lines
from support.documents import assert_same, text, vectors, write_documents
from support.ledger import LEDGER
from support.tables import table_rows

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]


def jsonl(folder: Path, *, rows: int) -> bytes:
    """Lines of that many documents."""
    return write_lines(folder / "c.jsonl", [{"_id": f"d{n}", "text": text(n)} for n in range(rows)]).read_bytes()


def cut_gzip(folder: Path) -> Path:
    whole = gzip.compress(jsonl(folder, rows=400))
    return _written(folder / "cut.jsonl.gz", whole[: len(whole) // 2])


def flipped_gzip(folder: Path) -> Path:
    whole = bytearray(gzip.compress(jsonl(folder, rows=400)))
    whole[len(whole) // 2] ^= 0xFF
    return _written(folder / "flipped.jsonl.gz", bytes(whole))


def no_gzip(folder: Path) -> Path:
    return _written(folder / "plain.jsonl.gz", jsonl(folder, rows=4))


def parquet_of_noise(folder: Path) -> Path:
    return _written(folder / "noise.parquet", b"PAR1" + os.urandom(200) + b"PAR1")


def cut_parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"doc_id": [f"d{n}" for n in range(400)], "text": [text(n) for n in range(400)]})
    pq.write_table(table, folder / "whole.parquet")
    whole = (folder / "whole.parquet").read_bytes()
    (folder / "whole.parquet").unlink()
    return _written(folder / "cut.parquet", whole[: len(whole) // 2])


def two_types_of_parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number, ids in enumerate((["a"], [17])):
        (folder / "types").mkdir(exist_ok=True)
        pq.write_table(pa.table({"doc_id": ids, "text": ["x"]}), folder / "types" / f"{number}.parquet")
    return folder / "types"


def parquet_without_rows(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    empty = pa.table({"doc_id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    pq.write_table(empty, folder / "empty.parquet")
    return folder / "empty.parquet"


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


INPUTS = [
    cut_gzip, flipped_gzip, no_gzip, parquet_of_noise, cut_parquet, two_types_of_parquet, parquet_without_rows,
]  # fmt: skip


@pytest.mark.parametrize("make", INPUTS)
def test_a_corrupt_input_ends_with_3_names_the_file_and_leaves_the_table(
    spark: SparkSession, lake: str, tmp_path: Path, capsys: Any, make: Callable[[Path], Path]
) -> None:
    write_documents(spark, lake, {"a": "apple", "b": "bread"})
    made = make(tmp_path)
    assert main(["ingest_texts", "--lake", lake, "--documents", str(made)]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    place = made / "1.parquet" if made.is_dir() else made
    assert error.startswith((f"error: {place}: the file ", f"error: {place}: the input "))
    assert "org.apache.spark" not in error
    LEDGER.injected(f"corrupt input: {make.__name__}")
    found = {row["doc_id"] for row in table_rows(f"{lake}/documents")}
    LEDGER.compared(found, {"a", "b"})
    assert found == {"a", "b"}


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def noisy_header(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(os.urandom(64) + weights.read_bytes()[64:])


def no_tokenizer(folder: Path) -> None:
    for file in ("tokenizer.json", "vocab.txt"):
        (folder / file).unlink(missing_ok=True)


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"')


def test_corrupt_models_and_tables_are_refused_and_the_vectors_stay(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, capsys: Any
) -> None:
    write_documents(spark, lake, {f"d{n}": text(n) for n in range(6)})
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    before = vectors(spark, lake)
    write_documents(spark, lake, {f"d{n}": text(n + 1) for n in range(6)})
    for damage in (cut_weights, noisy_header, no_tokenizer, broken_config):
        model = tmp_path / damage.__name__
        shutil.copytree(resolve_checkpoint("splade-tiny").folder, model)
        damage(model)
        options = ["--lake", lake, "--side", "documents", "--model", str(model), "--vectors", "splade-tiny"]
        assert main(["encode_texts", *options]) == 2, damage.__name__
        LEDGER.injected(f"corrupt model: {damage.__name__}")
    for file in Path(lake, "documents").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        (file.parent / f".{file.name}.crc").unlink(missing_ok=True)
    assert main(["encode_texts", "--lake", lake, "--side", "documents", "--model", "splade-tiny"]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {lake}/documents/part-")
    assert "rerun, with --force, the job that made the table" in error
    LEDGER.injected("corrupt data file of a Delta table")
    assert_same(vectors(spark, lake), before)


@contextmanager
def reading(read: Callable[[], Any]) -> Iterator[list[Any]]:
    """What a reader saw that read again and again while the body ran."""
    seen: list[Any] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            seen.append(read())

    reader = threading.Thread(target=loop)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()


def test_a_reader_sees_the_old_vectors_or_the_new_ones_and_nothing_between(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    def read() -> frozenset[tuple[str, str]] | None:
        try:
            rows: DataFrame = spark.read.format("delta").load(f"{lake}/vectors/splade-tiny/documents")
            return frozenset((row["id"], row["text_sha256"]) for row in rows.select("id", "text_sha256").collect())
        except AnalysisException:  # there is no table yet
            return None

    states = [
        {f"d{n}": text(n) for n in range(24)},
        {f"d{n}": text(n if n % 3 else n + 100) for n in range(4, 30)},  # some changed, some gone, some new
        {f"d{n}": text(n + 200) for n in range(24)},  # all changed
    ]
    wanted: list[Any] = [None]
    with reading(read) as seen:
        for texts in states:
            write_documents(spark, lake, texts)
            run_job("encode_texts", lake=lake, model="splade-tiny", side="documents", chunk_rows=6)
            wanted.append(read())
    LEDGER.injected("reader during writes", len(seen))
    assert [len(state) for state in wanted[1:]] == [24, 26, 24]
    assert set(seen) <= set(wanted)
    assert len(set(seen)) >= 3, "the reader saw the vectors before and after"


CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete", "null"]), st.integers(0, 30), st.integers(0, 1000)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(CHANGES, min_size=2, max_size=3), random=st.randoms(use_true_random=False))
def test_any_series_of_changes_ends_with_the_vectors_of_a_full_encode(
    spark: SparkSession, run_job: Any, tmp_path: Path, steps: list[list[tuple[str, int, int]]], random: Any
) -> None:
    lake = str(tmp_path / f"lake{len(list(tmp_path.iterdir()))}")
    texts: dict[str, str | None] = {f"d{n}": text(n) for n in range(20)}
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents"}
    for changes in [[], *steps]:
        for kind, number, other in changes:
            if kind == "delete":
                texts.pop(f"d{number}", None)
            else:
                texts[f"d{number}"] = text(other) if kind == "put" else None
        order = list(texts)
        random.shuffle(order)
        write_documents(spark, lake, {i: texts[i] for i in order})
        run_job("encode_texts", **encode, changes=random.choice(["snapshot", "feed"]), chunk_rows=9)
        LEDGER.tried("generated changes", len(changes))
    run_job("encode_texts", **encode, vectors="full")
    assert_same(vectors(spark, lake), vectors(spark, lake, "full"))
