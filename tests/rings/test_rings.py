"""The pure modules need neither torch nor Spark, the encoder, the reranker and training no Spark."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from support.stop_at import POINTS, Place

REPOSITORY = Path(__file__).resolve().parents[2]
LIB = REPOSITORY / "lib"
SPARK = frozenset({"pyspark", "py4j", "delta"})
TORCH = frozenset({"torch", "transformers", "sentence_transformers", "accelerate", "datasets", "triton"})
# Rooms of the outer rings; every other module is pure. demo.run is a client of the jobs.
SPARK_ROOMS = ("spladelake.spark", "spladelake.functions", "spladelake.ml", "spladelake.demo.run")
TORCH_ROOMS = ("spladelake.encoder", "spladelake.reranker", "spladelake.training")


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((LIB / "spladelake").rglob("*.py")):
        parts = path.relative_to(LIB).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_bytes())
    return found


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def statements(node: ast.AST, *, deferred: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run with the module; deferred: those in functions too. Never those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif deferred or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(child, deferred=deferred)


@cache
def imported(module: str, *, deferred: bool = False) -> frozenset[str]:
    """Modules that a module names in its imports: ours by their dotted names, others by their package."""
    found: set[str] = set()
    for statement in statements(sources()[module], deferred=deferred):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        else:
            assert not statement.level, f"{module}: a relative import, which this test does not follow"
            inside = [f"{statement.module}.{alias.name}" for alias in statement.names]
            names = [str(statement.module), *(name for name in inside if name in sources())]
        for name in names:
            parts = name.split(".")
            ours = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} & sources().keys()
            found |= ours or {parts[0]}
    return frozenset(found)


def reached(module: str) -> set[str]:
    """All that is imported when a module is."""
    found, waiting = {module}, [module]
    while waiting:
        new = imported(waiting.pop()) - found
        found |= new
        waiting += [name for name in new if name in sources()]
    return found


# Rooms of spladelake.spark, the lowest first: each may import those before it.
ROOMS = (
    "session", "tables", "ingest", "encode", "retrieve", "evaluate", "rerank", "train", "compact", "exchange", "upkeep",
    "sql", "jobs",
)  # fmt: skip


def all_imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports at any place, also in functions and for type checkers alone."""
    found = set()
    for node in ast.walk(sources()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in sources() else str(node.module) for name in inside}
    return frozenset(found & sources().keys() - {module})


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter({name: all_imports(name) for name in sources()}).prepare()  # raises CycleError with the circle


def test_a_circle_of_imports_is_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": ["b"], "b": ["a"]}).prepare()


def test_the_command_line_is_imported_by_its_entry_point_only() -> None:
    assert [name for name in sources() if "spladelake.cli" in all_imports(name)] == ["spladelake.__main__"]


def test_every_room_of_spark_has_a_place_among_the_others() -> None:
    found = {name.split(".")[2] for name in sources() if name.startswith("spladelake.spark.")}
    assert found == set(ROOMS)


@pytest.mark.parametrize("module", [name for name in sources() if name.startswith("spladelake.spark.")])
def test_a_room_of_spark_imports_only_itself_and_the_rooms_below(module: str) -> None:
    own = ROOMS.index(module.split(".")[2])
    above = {name for name in all_imports(module) if name.startswith("spladelake.spark.")}
    assert not {name for name in above if ROOMS.index(name.split(".")[2]) > own}


def test_the_walk_sees_imports_of_both_kinds() -> None:
    assert {"spladelake.encoder.model", "torch"} <= reached("spladelake.encoder.encoder")
    assert "torch" not in reached("spladelake.encoder")
    assert "spladelake.spark.jobs" in imported("spladelake.commands.run_job", deferred=True)
    assert "pyspark" in reached("spladelake.spark.retrieve.job")


@pytest.mark.parametrize("module", [name for name in sources() if not within(name, SPARK_ROOMS + TORCH_ROOMS)])
def test_a_pure_module_imports_neither_torch_nor_spark(module: str) -> None:
    found = reached(module)
    assert not found & (TORCH | SPARK)
    assert not [name for name in found if within(name, SPARK_ROOMS)]


@pytest.mark.parametrize("module", [name for name in sources() if within(name, TORCH_ROOMS)])
def test_a_module_on_torch_never_imports_spark_not_even_in_a_function(module: str) -> None:
    found = imported(module, deferred=True).union(
        *(imported(name, deferred=True) for name in reached(module) if name in sources())
    )
    assert not found & SPARK
    assert not [name for name in found if within(name, SPARK_ROOMS)]


@pytest.mark.parametrize("module", TORCH_ROOMS)
def test_a_driver_imports_the_rooms_on_torch_without_it(module: str) -> None:
    assert not reached(module) & TORCH


def run(code: str, *arguments: str, blocked: frozenset[str]) -> str:
    """Output of a fresh interpreter in which some packages cannot be imported."""
    program = f"import sys\nfor name in {sorted(blocked)!r}:\n    sys.modules[name] = None\n{code}"
    env = {"PYTHONPATH": f"{LIB}:{REPOSITORY / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def without_spark(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What a process without pyspark says of a text and a pair, and the cross-encoder that it made for it."""
    folder = tmp_path_factory.mktemp("cross") / "model"
    code = """
from pathlib import Path
from spladelake.encoder import SpladeEncoder
from spladelake.reranker import CrossEncoder
from support.cross_encoders import write_cross_encoder
print(SpladeEncoder.load("splade-tiny", threads=1).encode(["common law"]).tokens.tolist())
write_cross_encoder(Path(sys.argv[1]))
print(len(CrossEncoder.load(sys.argv[1]).score([("a", "b")]).scores))
"""
    blocked = SPARK | {"sentence_transformers"}
    return run(code, str(folder), blocked=blocked).splitlines()[-2:], folder


def test_the_encoder_and_the_reranker_work_without_pyspark(without_spark: tuple[list[str], Path]) -> None:
    assert without_spark[0] == ["[4]", "1"]


def test_a_driver_resolves_checkpoints_without_torch_and_transformers(without_spark: tuple[list[str], Path]) -> None:
    code = """
from pathlib import Path
import spladelake.training
from spladelake.encoder import Checkpoint, EncodedBatch, EncoderSettings, EncodeStats, resolve_checkpoint
from spladelake.encoder.tokens import vocabulary_tokens
from spladelake.reranker import resolve_cross_encoder
checkpoint = resolve_checkpoint("splade-tiny")
resolve_cross_encoder(sys.argv[1])
print(checkpoint.short_name, vocabulary_tokens(Path(checkpoint.folder), checkpoint.vocabulary_size)[2375])
"""
    assert run(code, str(without_spark[1]), blocked=SPARK | TORCH) == "splade-tiny law"


def test_every_pure_module_is_imported_where_torch_and_spark_are_absent() -> None:
    pure = [name for name in sources() if not within(name, SPARK_ROOMS + TORCH_ROOMS) and not name.endswith("__main__")]
    code = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\nprint('ok')"
    assert run(code, *pure, blocked=SPARK | TORCH) == "ok"


@pytest.mark.slow
def test_training_is_imported_where_pyspark_is_absent() -> None:
    """By default the walk above says so of our own modules; this adds those of sentence-transformers."""
    assert run("import spladelake.training.run; print('ok')", blocked=SPARK) == "ok"


# Variables of ours that the product reads. What only a test would set is put into the process by the test.
VARIABLES = {
    "SPLADELAKE_DELTA",
    "SPLADELAKE_DEVICE",
    "SPLADELAKE_JARS",
    "SPLADELAKE_LOCK",
    "SPLADELAKE_LOCK_SECONDS",
    "SPLADELAKE_PREPARE",
    "SPLADELAKE_WORKER_IMPORTS",
}


def test_the_product_kills_no_process_and_reads_no_variable_of_a_test() -> None:
    nodes = [node for tree in sources().values() for node in ast.walk(tree)]
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    assert not calls & {"os.kill", "os.killpg", "os.abort", "signal.raise_signal"}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert {text for text in texts if re.fullmatch("SPLADELAKE_[A-Z_]+", text)} == VARIABLES


@pytest.mark.parametrize("place", [place for places in POINTS.values() for place in places], ids=str)
def test_a_point_at_which_tests_kill_a_driver_is_a_call_that_its_module_makes(place: Place) -> None:
    calls = (node.func for node in ast.walk(sources()[place.module]) if isinstance(node, ast.Call))
    assert place.function in map(ast.unparse, calls)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import spladelake.encoder

    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = spladelake.encoder.NoSuchName
