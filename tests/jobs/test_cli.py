"""A user's mistake is one message that names place, finding, expectation and fix, and the documented exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spladelake.cli import main

Command = Any


def assert_one_message(done: Any, code: int, *pieces: str) -> None:
    assert done.code == code, done.err
    assert done.result["exit_code"] == code
    assert "Traceback" not in done.err
    assert "\tat " not in done.err
    for piece in pieces:
        assert piece in done.err


def test_help_is_there_at_once_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from spladelake.cli import main; main(['--help']); main(['encode_texts', '--help']);"
        "print([m for m in ('torch', 'pyspark', 'transformers', 'numba', 'pandas', 'numpy') if m in sys.modules])"
    )
    started = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    assert "spladelake encode_texts --lake my-lake" in out
    assert time.monotonic() - started < 5  # half a second on a quiet machine; this only catches a heavy import


def test_the_help_page_takes_less_than_half_a_second_of_processor_time() -> None:
    """CPU time, not the clock: the machine may be busy. The best of three, since caches may be cold."""
    code = "import time; from spladelake.cli import main; main(['--help']); print(time.process_time(), file=sys.stderr)"
    command = [sys.executable, "-c", f"import sys; {code}"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stderr) for run in runs) < 0.5


def completions(typed: str) -> list[str]:
    """What the shell offers for the last word, by click's protocol for bash."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1), "_SPLADELAKE_COMPLETE": "bash_complete"}
    command = [sys.executable, "-m", "spladelake"]
    done = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True, check=True)
    return sorted(line.split(",")[1] for line in done.stdout.splitlines())


def test_the_shell_completes_commands_options_and_choices() -> None:
    assert completions("spladelake re") == ["report", "rerank_run", "retrieve_run"]
    assert completions("spladelake encode_texts --max-") == [
        "--max-active-dims", "--max-length", "--max-rejected", "--max-text-bytes",
    ]  # fmt: skip
    assert completions("spladelake encode_texts --side d") == ["documents"]


def test_the_completion_script_for_bash_is_one_that_bash_takes() -> None:
    env = {**os.environ, "_SPLADELAKE_COMPLETE": "bash_source"}
    script = subprocess.run([sys.executable, "-m", "spladelake"], env=env, capture_output=True, text=True, check=True)
    assert "_SPLADELAKE_COMPLETE=bash_complete" in script.stdout
    subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=True)


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)], ids=["as usual", "NO_COLOR"])
def test_an_error_has_colour_on_a_terminal_only(no_color: str, colours: bool) -> None:
    command = [sys.executable, "-m", "spladelake", "pipeline", "run", "absent.yaml"]
    env = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    terminal, inner = pty.openpty()
    subprocess.run(command, env=env, stderr=inner, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    os.close(inner)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "absent.yaml: there is no such file" in shown
    assert ("\x1b[31m" in shown) == colours
    piped = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "\x1b" not in piped.stderr + piped.stdout


@pytest.mark.parametrize(
    ("arguments", "pieces"),
    [
        (["encode_texts"], ["Missing option '--lake'"]),
        (["encode_texts", "--lake", "x", "--modle", "y"], ["No such option", "--model"]),
        (["encode_txt", "--lake", "x"], ["No such command", "encode_texts"]),
        (["retrieve-run"], ["No such command", "retrieve_run"]),
        (["retrieve_run", "--lake", "x", "--k", "0"], ["retrieve_run: k", "the value is '0'", "wanted 1 or more"]),
        (["retrieve_run", "--lake", "x", "--k", "ten"], ["the value is 'ten'", "wanted a whole number"]),
        (["encode_texts", "--lake", "x", "--side", "left"], ["'left'", "documents", "queries", "both"]),
        (["ingest_texts", "--lake", "x"], ["nothing to read", "--source"]),
        (["ingest_texts", "--lake", "x", "--source", "a", "--documents", "b"], ["--source is given together with"]),
        (["encode_texts", "--lake", "x", "--conf", "memory=4g"], ["--conf memory=4g", "spark.KEY=VALUE"]),
        (["encode_texts", "--lake", "x", "--properties-file", "absent.conf"], ["absent.conf", "no such file"]),
        (["pipeline", "run", "absent.yaml"], ["absent.yaml", "no such file"]),
        (["ingest_texts", "--lake", "x", "--queries", "q.csv", "--document-id", "y"], ["--document-id", "--documents"]),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(spladelake: Command, arguments: list[str], pieces: list[str]) -> None:
    assert_one_message(spladelake(*arguments), 2, *pieces)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("lake: x\nsteps: {}\n", ["steps", "the list of steps is empty"]),
        ("lake: x\nstep: {}\n", ["step", "no such option", "did you mean 'steps'?"]),
        ("steps: {encode_texts: }\n", ["lake", "the required option is missing"]),
        ("lake: x\nsteps: {encode_text: }\n", ["steps.encode_text", "did you mean 'encode_texts'?"]),
        ("lake: x\nsteps: {encode_texts: {max_lenght: 8}}\n", ["max_lenght", "did you mean 'max_length'?"]),
        ("lake: x\nsteps: {encode_texts: {max_length: long}}\n", ["max_length", "the value is 'long'"]),
        ("lake: ${NO_SUCH_VARIABLE}\nsteps: {encode_texts: }\n", ["${NO_SUCH_VARIABLE} is not set"]),
        (
            "steps: {}\nlake: [x\n",
            ["does not parse (line 3, column 1: ", "wanted valid YAML. Close each bracket and quote"],
        ),
        (
            "lake: x\nsteps: {encode_texts: , encode_texts: }\n",
            ["'encode_texts' occurs twice", "write the steps as a list"],
        ),
        ("lake: x\nsteps: {evaluate_run: {measures: [ndgc@10]}}\n", ["measures", "ndgc@10"]),
        ("just words\n", ["the file is a single text"]),
    ],
)
def test_a_wrong_pipeline_file_ends_with_2_and_names_the_key(
    spladelake: Command, tmp_path: Path, text: str, pieces: list[str]
) -> None:
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert_one_message(spladelake("pipeline", "run", "p.yaml"), 2, "p.yaml", *pieces)


@pytest.mark.parametrize(
    ("home", "pieces"),
    [
        ("", ["PATH: no Java was found", "Install Java 17"]),
        (
            "/no/such/java",
            ["JAVA_HOME=/no/such/java: there is no bin/java in this folder", "or unset it to use the java"],
        ),
    ],
    ids=["not on PATH", "wrong JAVA_HOME"],
)
def test_an_unset_java_ends_with_5(spladelake: Command, tmp_path: Path, home: str, pieces: list[str]) -> None:
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "JAVA_HOME": home}
    done = spladelake("ingest_texts", "--lake", "x", "--source", ".", env=env)
    assert_one_message(done, 5, "wanted Java 17", *pieces)
    assert done.result["exit_code"] == 5


def test_an_old_java_ends_with_5(spladelake: Command, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    done = spladelake("ingest_texts", "--lake", "x", "--source", ".", env={"JAVA_HOME": str(tmp_path)})
    assert_one_message(done, 5, "the program is Java 11", "wanted Java 17", "Set JAVA_HOME to the folder of Java 17")


@pytest.fixture
def no_hub() -> dict[str, str]:
    return {"HF_HUB_OFFLINE": "1"}


def test_doctor_says_what_to_do_about_each_fault(spladelake: Command, tmp_path: Path, no_hub: dict[str, str]) -> None:
    (tmp_path / "bin").mkdir()
    env = {**no_hub, "PATH": str(tmp_path / "bin"), "JAVA_HOME": "", "SPLADELAKE_JARS": str(tmp_path / "jars")}
    done = spladelake("doctor", "--model", str(tmp_path / "no-model"), env=env)
    assert done.code == 5
    faults = {line.split(":")[0].split(None, 1)[1] for line in done.out.splitlines() if line.startswith("FIX")}
    assert {"java", "delta jars", "model", "spark session"} <= faults
    assert "Install Java 17 or newer" in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.slow
def test_doctor_passes_on_a_machine_that_runs_these_tests(spladelake: Command) -> None:
    done = spladelake("doctor")
    assert done.code == 0, done.out
    lines = done.out.strip().splitlines()
    assert all(line.startswith("ok") for line in lines)
    assert [line.split(":")[0].split(None, 1)[1] for line in lines] == [
        "python", "java", "delta jars", "memory", "write access", "model", "spark session",
    ]  # fmt: skip


def test_the_pipeline_files_of_conf_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    from spladelake.config import load_pipeline

    monkeypatch.setenv("BEIR", "somewhere")
    conf = Path(__file__).resolve().parents[2] / "conf"
    files = sorted(conf.glob("*.yaml"))
    assert files
    for file in files:
        assert load_pipeline(str(file)).options(place=str(file))


def test_the_gpu_discovery_script_prints_what_spark_reads(tmp_path: Path) -> None:

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n", encoding="utf-8")
    tool.chmod(0o755)
    script = Path(__file__).resolve().parents[2] / "conf" / "find_gpus.sh"
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    out = subprocess.run([str(script)], env={"PATH": path}, capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == {"name": "gpu", "addresses": ["0", "1"]}


def test_a_properties_file_is_read_as_spark_reads_it(tmp_path: Path) -> None:
    from spladelake.commands.settings import spark_settings

    file = tmp_path / "spark.conf"
    file.write_text("# comment\nspark.a  1 2\nspark.b=3\n\n  spark.c: 4\n", encoding="utf-8")
    assert spark_settings(str(file), ["spark.b=x=y"]) == {"spark.a": "1 2", "spark.b": "x=y", "spark.c": "4"}


def test_values_of_a_pipeline_file_that_yaml_reads_as_numbers_are_text_where_text_is_meant(tmp_path: Path) -> None:
    from spladelake.config import IngestTexts, load_pipeline

    file = tmp_path / "p.yaml"
    steps = "{ingest_texts: {source: x, split: 2019}}"
    file.write_text(f"lake: l\nspark: {{spark.sql.shuffle.partitions: 8}}\nsteps: {steps}\n", encoding="utf-8")
    loaded = load_pipeline(str(file), overrides={"lake": "2024"})
    assert (loaded.lake, loaded.spark) == ("2024", {"spark.sql.shuffle.partitions": "8"})
    ((_, options),) = loaded.options(place="p")
    assert isinstance(options, IngestTexts)
    assert options.split == "2019"


@pytest.mark.slow
def test_a_local_session_that_was_there_before_answers_within_ten_seconds(tmp_path: Path) -> None:
    """The best of three, since the machine may be busy; tests/bench/bench_start.py has the figure of the README."""
    if os.getloadavg()[0] > len(os.sched_getaffinity(0)):
        pytest.skip("other processes want more than all cores, so seconds by the clock say nothing")
    script = Path(__file__).resolve().parents[1] / "bench" / "bench_start.py"
    command = [sys.executable, str(script), "--rounds", "3"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    figures = json.loads(out.splitlines()[-1])
    assert figures["session_and_table_s"] < 10
    assert figures["help_s"] < 0.5 * 4  # a clock on a busy machine; the processor's time is compared above


@pytest.mark.parametrize("words", [["--run_date", "soon"], ["--run_date=soon"], ["--run-date=soon"]])
def test_an_option_may_be_spelled_with_underscores_as_in_a_pipeline_file(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrieve_run", "--lake", "x", *words]) == 2
    assert "run_date: the value is 'soon'" in capsys.readouterr().err
