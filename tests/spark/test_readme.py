"""A newcomer's pass: every `spladelake` line of the README runs as it stands there, in its order, in one folder.

Models of the Hugging Face hub stand in the folder under their names: splade-tiny for the SPLADE model, a small random
one for the cross-encoder. What the README takes as there is made before the line that needs it.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.encoder.checkpoint import resolve_checkpoint
from support.checkpoints import edit
from support.collections import json_lines, write_drawn, write_lines
from support.command_lines import words
from support.cross_encoders import write_cross_encoder
from support.readme import blocks, spladelake_lines

# Lines that stand before the one beginning so, because the README tells only of the other half.
BEFORE = {
    "spladelake import_vectors --lake my-lake --input theirs": [
        "spladelake export_vectors --lake my-lake --output theirs --output-format ciff",
    ],
    "spladelake evaluate_run --lake my-lake --ranking my-model": [
        "spladelake retrieve_run --lake my-lake --model ./my-model",
    ],
    "spladelake import_run": [
        "spladelake export_run --lake my-lake --ranking bm25 --output theirs.trec",
    ],
    "spladelake compare_runs": [
        "spladelake evaluate_run --lake my-lake --ranking bm25 --model bm25",
        "spladelake evaluate_run --lake my-lake --ranking my-model --model ./my-model",
    ],
    "spladelake sql --lake demo-lake --model splade-tiny": [
        "spladelake ingest_texts --lake demo-lake --source my-corpus",
        "spladelake encode_texts --lake demo-lake --model splade-tiny",
    ],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A newcomer's folder: a corpus of their own, the same as other files, and models under their names."""
    pytest.importorskip("sentence_transformers", reason="train_model needs the extra train")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    # Enough judged queries for one batch of train_model's default size.
    corpus = write_drawn(tmp_path / "my-corpus", documents=120, queries=120)
    documents, queries = (json_lines(corpus / f"{name}.jsonl") for name in ("corpus", "queries"))
    columns = {"paper_id": [r["_id"] for r in documents], "abstract": [r["text"] for r in documents]}
    pq.write_table(pa.table(columns), tmp_path / "papers.parquet")
    write_lines(tmp_path / "queries.csv", ["id,question", *(f"{r['_id']},{r['text']}" for r in queries)])
    shutil.copy(corpus / "qrels" / "test.tsv", tmp_path / "judgements.tsv")
    shutil.copytree(resolve_checkpoint("splade-tiny").folder, tmp_path / "rasyosef" / "splade-mini")
    for name in ("document-model", "query-model"):
        shutil.copytree(resolve_checkpoint("splade-tiny").folder, tmp_path / name)
    edit(tmp_path / "query-model" / "config.json", layer_norm_eps=1e-11)
    write_cross_encoder(tmp_path / "cross-encoder" / "ms-marco-MiniLM-L6-v2")
    return tmp_path


def failure(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What went wrong when a line ran; empty where nothing did."""
    name, *arguments = words(line)
    assert name == "spladelake"
    code = main(arguments)
    shown = capsys.readouterr()
    if code != 0:
        return f"{line}\n  ended with {code}: {shown.err[-1500:]}"
    if arguments[0] not in ("sql", "search") and json.loads(shown.out.splitlines()[-1])["exit_code"] != 0:
        return f"{line}\n  said {shown.out[-500:]}"
    return ""


def test_the_lines_for_a_dataframe_find_encode_and_measure(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [block for block in blocks("python") if "spladelake.functions" in block]
    # The JVM has another folder of its own.
    for reader in ("parquet", "csv"):
        code = code.replace(f'{reader}("', f'{reader}("{folder}/')
    exec(code, {"__name__": "__main__", "spark": spark})
    shown = capsys.readouterr().out
    for piece in ("rank", "abstract", "nDCG@10", "R@100"):
        assert piece in shown
    assert (folder / "encoded.parquet").is_dir()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_spladelake_line_of_the_readme_runs_as_it_stands(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    for line in spladelake_lines():
        before = next((found for start, found in BEFORE.items() if line.startswith(start)), [])
        lines += [*(one for one in before if one not in lines), line]
    failures = []
    for line in lines:
        if "--since-version" in line:
            # The version that the run before was made from, whatever number the README gives.
            history = spark.sql(f"DESCRIBE HISTORY delta.`{folder}/my-lake/vectors/splade-mini/documents` LIMIT 1")
            line = line.replace("--since-version 3", f"--since-version {history.collect()[0]['version']}")
        if line.startswith("spladelake train_model"):
            line += " --accept-worse"  # the teacher of this test has random weights
        failures += filter(None, [failure(line, capsys)])
    assert not failures, "\n".join(failures)
    for made in ("my-corpus-lake", "my-lake", "out", "my-model", "mini.trec", "report.html", "spladelake.zip"):
        assert (folder / made).exists(), made
