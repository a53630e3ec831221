"""The folder of compiled code, and how numba is told of it.

numba's own cache misses in two cases that matter here. It is keyed by the path of the source file, and Spark unpacks
`--py-files` to a new folder for each application; whether it can look into a zip depends on the version. And it looks
only at the file of the outermost function, so that a change in a function it calls goes unnoticed. Hence a folder of
our own, named by the content of this package's sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import Cache, CompileResultCacheImpl, _CacheLocator

from spladelake.machine import user_folder


def keep_on_disk(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Make a function of numba load its code from the folder, and store there what it compiles."""
    if cache_folder() is not None:
        dispatcher._cache = _CodeCache(function)


@cache
def cache_folder() -> Path | None:
    """The folder, created; None where none can be trusted or written, and each process compiles for itself.

    Below NUMBA_CACHE_DIR if set, else the user's cache folder, else a folder of this user's own for temporary files.
    """
    sources = _fingerprint_of_sources()
    if sources is None:
        return None
    owner = os.getuid() if hasattr(os, "getuid") else 0
    own_temporary = Path(tempfile.gettempdir()) / f"spladelake-{owner}"
    user_wide = user_folder("XDG_CACHE_HOME", ".cache") / "spladelake"
    asked_for = getattr(config, "CACHE_DIR", "")
    for base in [Path(asked_for)] if asked_for else [user_wide, own_temporary]:
        folder = base / f"scoring-{sources}"
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = base.stat()
            # Loading native code runs it: a folder for temporary files that others own or write to is not taken.
            if base == own_temporary and (found.st_uid != owner or found.st_mode & 0o022):
                continue
            folder.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


@cache
def _fingerprint_of_sources() -> str | None:
    """Hash of this package's source files, also inside a zip; None where only byte code is there."""
    sources = sorted((f.name, f.read_bytes()) for f in files(__package__).iterdir() if f.name.endswith(".py"))
    digest = hashlib.sha256()
    for name, content in sources:
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16] if sources else None


class _Locator(_CacheLocator):
    """Tells numba the folder. No entry in it is ever stale, because other sources have another folder."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = function.__name__

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func)

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str | None:
        return _fingerprint_of_sources()

    def get_disambiguator(self) -> str:
        return self._name


class _Entries(CompileResultCacheImpl):
    _locator_classes: Any = (_Locator,)


class _CodeCache(Cache):
    _impl_class: Any = _Entries

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)  # type: ignore[no-untyped-call]
