"""Native code is compiled once and then loaded, from wherever the package is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import spladelake
from spladelake.scoring import code_cache

PACKAGE = Path(spladelake.__file__).parent
COMPILE = """
from spladelake.index.layout import from_bytes, to_bytes
from spladelake.scoring import Queries, TopK, compile_kernels, invert
from spladelake.vectors import SparseVectors
done = compile_kernels()
rows = SparseVectors.from_rows([([0, 2], [1.0, 2.0])])
top = TopK(Queries.of(rows, vocabulary_size=3), k=2)
top.add(invert(rows, vocabulary_size=3), ["a"])
top.add(from_bytes(*to_bytes(invert(rows, vocabulary_size=3))), ["b"])
assert top.result().scores.tolist() == [5.0, 5.0]
assert top.result().doc_ids.to_strings() == ["a", "b"]
print(done.compiled, done.folder)
"""


def run(code: str, source_root: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHONPATH"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**kept, "PYTHONPATH": str(source_root), **environment},
        cwd=source_root if source_root.is_dir() else source_root.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
def test_a_second_process_loads_what_the_first_compiled_even_from_a_zip(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    compiled, kept = run(COMPILE, PACKAGE.parent, NUMBA_CACHE_DIR=str(folder)).split()
    assert int(compiled) > 0
    assert Path(kept).parent == folder
    assert run(COMPILE, PACKAGE.parent, NUMBA_CACHE_DIR=str(folder)) == f"0 {kept}"
    # As Spark ships it: a zip of the package at another place for every application.
    (tmp_path / "src").mkdir()
    for part in ("__init__.py", "errors.py", "vectors.py", "scoring"):
        copy = shutil.copytree if (PACKAGE / part).is_dir() else shutil.copy
        target = tmp_path / "src" / "spladelake" / part
        target.parent.mkdir(exist_ok=True)
        copy(PACKAGE / part, target)
    shutil.rmtree(tmp_path / "src" / "spladelake" / "scoring" / "__pycache__", ignore_errors=True)
    archive = Path(shutil.make_archive(str(tmp_path / "app"), "zip", tmp_path / "src"))
    assert run(COMPILE, archive, NUMBA_CACHE_DIR=str(folder)) == f"0 {kept}"


def test_changed_sources_have_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = shutil.copytree(PACKAGE / "scoring", tmp_path / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_cache.config, "CACHE_DIR", str(tmp_path / "cache"))
    # Without what this process remembers of its own sources, and with the copy in their place.
    monkeypatch.setattr(code_cache, "files", lambda package: sources)
    monkeypatch.setattr(code_cache, "_fingerprint_of_sources", code_cache._fingerprint_of_sources.__wrapped__)
    before = code_cache.kernel_folder.__wrapped__()
    assert code_cache.kernel_folder.__wrapped__() == before
    with (sources / "shortlist.py").open("a") as source:
        source.write("# one more line in a file that only native functions use\n")
    assert code_cache.kernel_folder.__wrapped__() != before


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose cache folder cannot be made; returns the folder for temporary files."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(code_cache.config, "CACHE_DIR", "")
    return tmp_path


def test_without_a_home_the_code_is_kept_among_temporary_files(no_home: Path) -> None:
    found = code_cache.kernel_folder.__wrapped__()
    assert found is not None
    assert found.parent == no_home / f"spladelake-{os.getuid()}"
    assert found.parent.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_can_write_to_is_not_trusted(no_home: Path) -> None:
    (no_home / f"spladelake-{os.getuid()}").mkdir()
    (no_home / f"spladelake-{os.getuid()}").chmod(0o777)
    assert code_cache.kernel_folder.__wrapped__() is None
