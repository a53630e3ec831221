"""The folder of compiled code, and the hook that makes numba use it.

numba's own cache fails in two cases here. Its key is the path of the source file, but Spark unpacks `--py-files` to a
new folder for each application, and only some versions of numba read sources inside a zip. It also checks only the file
of the outermost function, so it misses a change in a function that this one calls. Hence this package has its own
folder, named by a hash of its sources.
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

from spladelake.machine import cache_folder


def keep_on_disk(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Make a numba function load its compiled code from the folder and store it there."""
    if kernel_folder() is not None:
        dispatcher._cache = _CodeCache(function)


@cache
def kernel_folder() -> Path | None:
    """Create the folder and return it; None if no folder is writable and safe, and each process compiles for itself.

    The folder is below NUMBA_CACHE_DIR if set, else in the user's cache folder, else in a temporary folder that belongs
    to this user.
    """
    sources = _fingerprint_of_sources()
    if sources is None:
        return None
    owner = os.getuid() if hasattr(os, "getuid") else 0
    own_temporary = Path(tempfile.gettempdir()) / f"spladelake-{owner}"
    user_wide = cache_folder()
    asked_for = getattr(config, "CACHE_DIR", "")
    for base in [Path(asked_for)] if asked_for else [user_wide, own_temporary]:
        folder = base / f"scoring-{sources}"
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = base.stat()
            # Loading native code runs it: a temporary folder that another user owns or can write to is not safe.
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
    """Return a hash of this package's source files, also inside a zip; None if only byte code is installed."""
    sources = sorted((f.name, f.read_bytes()) for f in files(__package__).iterdir() if f.name.endswith(".py"))
    digest = hashlib.sha256()
    for name, content in sources:
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16] if sources else None


class _Locator(_CacheLocator):
    """The cache locator that points numba to the folder. Entries never go stale: other sources have another folder."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = function.__name__

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func)

    def get_cache_path(self) -> str:
        return str(kernel_folder())

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
