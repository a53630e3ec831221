"""A newcomer's pass: every block of the README and of the pages runs as it stands there, page by page, in one folder.

Models of the Hugging Face hub stand in the folder under their names: splade-tiny for the SPLADE model, a small random
one for the cross-encoder. support/pages.py says how a page marks what is not run.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.config.base import DEFAULT_MODEL
from spladelake.encoder.checkpoint import resolve_checkpoint
from spladelake.spark.sql import install
from support.checkpoints import edit
from support.collections import json_lines, write_drawn, write_lines
from support.command_lines import words
from support.cross_encoders import write_cross_encoder
from support.pages import PAGES, Block, blocks

# What every page may take as there: the tables of a corpus, encoded, ranked and measured.
BASE = (
    "spladelake ingest_texts --lake my-lake --source my-corpus",
    "spladelake encode_texts --lake my-lake",
    "spladelake retrieve_run --lake my-lake",
    "spladelake evaluate_run --lake my-lake",
)
# Commands that answer people: their last line of stdout is no result.
FOR_PEOPLE = ("sql", "search", "docs", "doctor")
# Sections that run by default; the walk of whole pages is slow.
USUAL = {
    "asked-elsewhere": ("nDCG with grades", "Skip texts that have not changed", "A sparse similarity function in SQL"),
    "README": ("Ten lines of Python",),
}


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A newcomer's folder: a corpus of their own, the same as other files, models under their names, and a lake."""
    root = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("sys.stdin", io.StringIO(""))
        write_inputs(root)
        for line in BASE:
            assert main(words(line)[1:]) == 0
        yield root


def write_inputs(root: Path) -> None:
    # Enough judged queries for one batch of train_model's default size.
    corpus = write_drawn(root / "my-corpus", documents=120, queries=120)
    documents, queries = (json_lines(corpus / f"{name}.jsonl") for name in ("corpus", "queries"))
    columns = {"paper_id": [r["_id"] for r in documents], "abstract": [r["text"] for r in documents]}
    pq.write_table(pa.table(columns), root / "papers.parquet")
    write_lines(root / "queries.csv", ["id,question", *(f"{r['_id']},{r['text']}" for r in queries)])
    shutil.copy(corpus / "qrels" / "test.tsv", root / "judgements.tsv")
    shutil.copytree(resolve_checkpoint("splade-tiny").folder, root / "rasyosef" / "splade-mini")
    for name in ("document-model", "query-model"):
        shutil.copytree(resolve_checkpoint("splade-tiny").folder, root / name)
    edit(root / "query-model" / "config.json", layer_norm_eps=1e-11)
    write_cross_encoder(root / "cross-encoder" / "ms-marco-MiniLM-L6-v2")


class Walk:
    """Runs the blocks of one page in their order, with one namespace for its Python."""

    def __init__(self, session: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.session, self.folder, self.capsys = session, folder, capsys
        self.names: dict[str, Any] = {"__name__": "__main__", "spark": session}
        self.failures: list[str] = []
        self.shown = ""

    def run(self, block: Block) -> None:
        """Run a block and what it needs before; note what fails."""
        for line in block.marked("before"):
            self.command(line, block)
        if block.language == "sh":
            for line in block.lines:
                self.command(line, block)
        elif block.language == "python":
            exec(self.absolute(block.code), self.names)
        elif block.language == "sql":
            install(self.session, lake="my-lake", model=DEFAULT_MODEL)
            for statement in filter(None, map(str.strip, block.code.split(";\n"))):
                self.session.sql(statement).show()
        for name in block.marked("save as"):
            (self.folder / name).write_text(block.code, encoding="utf-8")
        self.shown += self.capsys.readouterr().out

    def command(self, line: str, block: Block) -> None:
        """Run one command line as the shell would."""
        if "--since-version" in line:
            # The version that the run before was made from, whatever number the page gives.
            history = self.session.sql(
                f"DESCRIBE HISTORY delta.`{self.folder}/my-lake/vectors/splade-mini/documents` LIMIT 1"
            )
            line = re.sub(r"--since-version \d+", f"--since-version {history.collect()[0]['version']}", line)
        if line.startswith("spladelake train_model"):
            line += " --accept-worse"  # the teacher of this test has random weights
        _, *arguments = words(line)
        code = main(arguments)
        shown = self.capsys.readouterr()
        self.shown += shown.out
        if code != 0:
            self.failures.append(f"{block}: {line}\n  ended with {code}: {shown.err[-1500:]}")
        elif arguments[0] not in FOR_PEOPLE and json.loads(shown.out.splitlines()[-1])["exit_code"] != 0:
            self.failures.append(f"{block}: {line}\n  said {shown.out[-500:]}")

    def absolute(self, code: str) -> str:
        """The same code with paths that the JVM finds, whose folder is another."""
        return re.sub(r'\b(parquet|csv|json|load)\("(?!/)', rf'\1("{self.folder}/', code)


@pytest.fixture
def walk(spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]) -> Walk:
    return Walk(spark, folder, capsys)


def test_usual_answers_run_as_they_stand(walk: Walk, folder: Path) -> None:
    for page, headings in USUAL.items():
        chosen = [block for block in blocks(page) if block.heading in headings and block.walked]
        assert len({block.heading for block in chosen}) == len(headings)
        for block in chosen:
            walk.run(block)
    assert not walk.failures, "\n".join(walk.failures)
    for piece in ("ndcg_cut_10", '"kept": 120', "score", "abstract", "nDCG@10", "R@100"):
        assert piece in walk.shown
    assert (folder / "encoded.parquet").is_dir()


# What a page leaves in the folder.
MADE = {
    "README": ("my-corpus-lake", "report.html"),
    "corpus": ("my-corpus-lake", "papers-lake"),
    "encoding": ("my-lake/vectors/splade-mini-6bit", "my-lake/compactions"),
    "evaluation": ("report.html", "mini.trec", "qrels.txt", "mini.yaml"),
    "training": ("my-model/config.json",),
    "exchange": ("out/export.json",),
    "cluster": ("spladelake.zip",),
    "asked-elsewhere": ("bulk/export.json", "for-anserini/export.json"),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.walked for block in blocks(page))])
def test_every_block_of_a_page_runs_as_it_stands(walk: Walk, folder: Path, page: str) -> None:
    if page == "training":
        pytest.importorskip("sentence_transformers", reason="train_model needs the extra train")
    for block in blocks(page):
        if block.walked:
            walk.run(block)
    assert not walk.failures, "\n".join(walk.failures)
    for made in MADE.get(page, ()):
        assert (folder / made).exists(), made
