"""However a command is ended: it says so in one line, ends with a documented code, leaves no process and no part."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spladelake.config.jobs import JOBS
from support.cases import mostly_slow
from support.collections import write_fruit
from support.processes import SMALL, command, descendants, environment
from support.tables import table_rows

# A command with the ends of all commands, which needs no Java: it says that it runs, does something, and says the end.
PROGRAM = """
import sys, time, click
from pathlib import Path
from spladelake.commands.launch import run_command

@click.command()
@click.argument("what")
def toy(what):
    click.echo("begun", err=True)
    if what == "wait":
        time.sleep(60)
    elif what == "wait and clean":
        try:
            time.sleep(60)
        finally:
            raise ConnectionRefusedError("Java has ended too")
    elif what == "rows":
        for number in range(200_000):
            click.echo(f"row {number}")
    elif what == "messages":
        for number in range(200_000):
            click.echo(f"message {number}", err=True)
        Path("done").touch()
    elif what == "write":
        Path("large").write_bytes(bytes(2_000_000))
    click.echo("result")

sys.exit(run_command(toy, sys.argv[1:], prog_name="toy"))
"""
LAST = {
    signal.SIGINT: "interrupted; every table has either its old rows or its new rows",
    signal.SIGTERM: "interrupted; every table has either its old rows or its new rows",
    signal.SIGHUP: "interrupted; every table has either its old rows or its new rows",
}


READER_GONE = "the program that reads stdout has ended, so spladelake dropped the rest of the output"


def toy(what: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, what], cwd=folder, text=True, **streams)


def lines(text: str) -> list[str]:
    """The lines that say something: a terminal's ^C leaves an empty one."""
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("sign", "what"), [*((sign, "wait") for sign in LAST), (signal.SIGTERM, "wait and clean")])
def test_a_signal_is_told_in_one_line_and_by_the_code_that_shells_expect(
    tmp_path: Path, sign: signal.Signals, what: str
) -> None:
    with toy(what, tmp_path) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "begun\n"
        running.send_signal(sign)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + sign
    assert lines(err) == [LAST[sign]]
    assert out == ""


def test_a_signal_that_is_to_be_ignored_is(tmp_path: Path) -> None:
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with toy("wait", tmp_path, **ignore) as running:
        assert running.stderr is not None
        running.stderr.readline()
        running.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM


def test_output_ends_with_its_reader_and_that_is_no_error(tmp_path: Path) -> None:
    with toy("rows", tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "row 0\n"
        running.stdout.close()
        err = running.stderr.read()
    assert running.returncode == 0
    assert lines(err) == ["begun", READER_GONE]


def test_a_reader_of_messages_that_ends_does_not_end_the_work(tmp_path: Path) -> None:
    with toy("messages", tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stderr.readline()
        running.stderr.close()
        out = running.stdout.read()
    assert running.returncode == 0
    assert out == "result\n"
    assert (tmp_path / "done").exists()


def test_a_full_disk_below_stdout_ends_with_5(tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, toy("rows", tmp_path, stdout=full) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 5
    assert lines(err)[1:] == [
        "error: the output: the disk has no space left; wanted space for the output. "
        "Free some space, or choose a folder on a larger disk."
    ]


def test_a_limit_of_the_file_size_ends_with_5(tmp_path: Path) -> None:
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))}
    with toy("write", tmp_path, **limit) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 5
    assert len(lines(err)) == 2
    assert "has reached the size limit" in err


# Commands that need no Java, and the code with which each ends as long as its output can be written.
QUICK: dict[str, tuple[str, ...]] = {
    "docs": ("docs",),
    "a page of docs": ("docs", "cli"),
    "forecast": ("forecast", "--docs", "1000000"),
    "init": ("init", "corpus.jsonl", "--force"),
    "package": ("package",),
    "help": ("--help",),
    "a refusal": ("docs", "no-such-page"),
}


def quick(name: str, folder: Path, stdout: Any) -> tuple[int, list[str]]:
    """Exit code and messages of a command whose output goes to `stdout`."""
    write_fruit(folder)
    line = command(*QUICK[name])
    done = subprocess.run(
        line, cwd=folder, env=environment(), text=True, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, lines(done.stderr)


@pytest.mark.parametrize("name", mostly_slow(QUICK, 1))
def test_every_quick_command_outlives_a_reader_that_has_gone(tmp_path: Path, name: str) -> None:
    read, write = os.pipe()
    os.close(read)
    code, told = quick(name, tmp_path, write)
    os.close(write)
    if name == "a refusal":
        assert (code, "there is no such page" in told[-1]) == (2, True)
    else:
        assert (code, told[-1]) == (0, READER_GONE)


@pytest.mark.parametrize("name", mostly_slow(QUICK, 1))
def test_every_quick_command_tells_of_a_full_disk(tmp_path: Path, name: str) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        code, told = quick(name, tmp_path, full)
    if name == "a refusal":
        assert (code, "there is no such page" in told[-1]) == (2, True)
    else:
        assert (code, "the disk has no space left" in told[-1]) == (5, True)


# Of each job, and of each other command that starts Spark, the least that it can be asked. Most find nothing to do
# their work on.
TINY = ("--model", "splade-tiny")
OPTIONS: dict[str, tuple[str, ...]] = {
    "ingest_texts": ("--source", "source"),
    "encode_texts": TINY,
    "index_vectors": TINY,
    "retrieve_run": TINY,
    "rerank_run": ("--run", "splade-tiny"),
    "fuse_runs": ("--runs", "bm25,splade-tiny"),
    "mine_pairs": ("--run", "splade-tiny"),
    "train_model": (*TINY, "--output", "model"),
    "export_run": ("--output", "out.txt"),
    "export_measures": ("--output", "out.csv"),
    "export_vectors": ("--output", "out", "--output-format", "npz"),
    "import_run": ("--run", "source/corpus.jsonl", "--ranking", "theirs"),
    "import_vectors": ("--input", "source", "--input-format", "anserini", "--vectors", "theirs"),
}
LAKE = ("--lake", "lake")
OTHERS: dict[str, tuple[str, ...]] = {
    "passages": ("encode_texts", *LAKE, *TINY, "--passage-tokens", "4", *SMALL),
    "search": ("search", "bread", *LAKE, *TINY, "--where", "title IS NULL", *SMALL),
    "sql": ("sql", *LAKE, *TINY, "-e", "SELECT * FROM documents", *SMALL),
    "report": ("report", *LAKE, "--out", "report.html", *SMALL),
    "quarantine show": ("quarantine", "show", *LAKE),
    "quarantine retry": ("quarantine", "retry", *LAKE),
    "pipeline": ("pipeline", "run", "pipeline.yaml", *SMALL),
    "doctor": ("doctor", *LAKE),
    "demo": ("demo", "--documents", "20", *SMALL),
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection and a lake of it."""
    folder = tmp_path_factory.mktemp("ends")
    write_fruit(folder / "source")
    (folder / "pipeline.yaml").write_text("lake: lake\nmodel: splade-tiny\nsteps: {encode_texts: }\n", encoding="utf-8")
    line = command("ingest_texts", "--lake", "lake", "--source", "source", *SMALL)
    subprocess.run(line, cwd=folder, env=environment(), check=True, capture_output=True, timeout=600)
    return folder


def rows(lake: Path) -> dict[str, int]:
    """Rows of every table."""
    return {str(log.parent.relative_to(lake)): len(table_rows(log.parent)) for log in lake.rglob("_delta_log")}


def line_of(name: str) -> list[str]:
    return command(*OTHERS[name]) if name in OTHERS else command(name, *LAKE, *OPTIONS.get(name, ()), *SMALL)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda sign: sign.name)
@pytest.mark.parametrize("name", [*JOBS, *OTHERS])
def test_a_command_that_is_ended_leaves_its_tables_and_no_process(
    ingested: Path, tmp_path: Path, name: str, sign: signal.Signals
) -> None:
    folder = Path(shutil.copytree(ingested, tmp_path / "work"))
    before = rows(folder / "lake")
    with subprocess.Popen(line_of(name), cwd=folder, env=environment(), text=True, start_new_session=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # fmt: skip
        until = time.monotonic() + 120
        while running.poll() is None and not any("java" in line for _, line in descendants(running.pid)):
            assert time.monotonic() < until
            time.sleep(0.05)
        children = [pid for pid, _ in descendants(running.pid)]
        assert running.poll() is None, f"it ended before it started Java: {running.communicate()[1]}"
        # To the group, as a terminal sends Ctrl-C and a service manager its end.
        os.killpg(running.pid, sign)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 128 + sign, err[-3000:]
    assert lines(err)[-1] == LAST[sign]
    assert "Traceback" not in err
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < until:
        time.sleep(0.2)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert rows(folder / "lake") == before


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_job_runs_whatever_surrounds_it(ingested: Path, tmp_path: Path) -> None:
    """Another Spark in SPARK_HOME, no home, no folder for temporary files, a working folder that is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    foreign = tmp_path / "spark"
    (foreign / "bin").mkdir(parents=True)
    env = environment(
        SPARK_HOME=str(foreign), TMPDIR=str(tmp_path / "absent"),
        XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")), HOME=str(tmp_path / "no-home"),
    )  # fmt: skip
    line = command("verify_tables", "--lake", str(ingested / "lake"), *SMALL)
    shell = ["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh", *line]
    done = subprocess.run(shell, env=env, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"SPARK_HOME={foreign} is not used" in done.stderr
    assert "Traceback" not in done.stderr
