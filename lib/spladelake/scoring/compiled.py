"""Native code of the scoring functions: compiled once on a machine, kept on disk, loaded by every later process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numba import njit, types

try:
    from spladelake.scoring import code_cache
except ImportError:
    # The cache hooks into numba's insides. Where a later numba has others, each process compiles for itself.
    code_cache = None  # type: ignore[assignment]


def part(function: Callable[..., Any]) -> Any:
    """A function that only native functions call: compiled into each of its callers."""
    return njit(nogil=True, error_model="numpy")(function)


def array(dtype: Any, dimensions: int = 1) -> Any:
    """Type of a contiguous array that the function writes to."""
    return types.Array(dtype, dimensions, "C")


def view(dtype: Any, dimensions: int = 1) -> Any:
    """Type of a contiguous array that is only read: those over the bytes of a table are not writable."""
    return types.Array(dtype, dimensions, "C", readonly=True)


class NativeFunction:
    """A Python function, compiled for one signature when it is first called, or loaded from disk."""

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self.__doc__ = function.__doc__
        self._function, self._signature = function, signature

    @cached_property
    def _dispatcher(self) -> Any:
        # Without the lock on the interpreter, so that threads of one process can score; x/0 is inf, as in numpy.
        dispatcher: Any = njit(nogil=True, error_model="numpy")(self._function)
        if code_cache is not None:
            code_cache.keep_on_disk(dispatcher, self._function)
        dispatcher.compile(self._signature)
        # Arguments of other types now raise TypeError, instead of compiling for seconds in each process.
        dispatcher.disable_compile()
        return dispatcher

    def __call__(self, *args: Any) -> Any:
        return self._dispatcher(*args)

    def prepare(self) -> bool:
        """Make it ready to call; true when it was loaded from disk."""
        return bool(self._dispatcher.stats.cache_hits)


_functions: list[NativeFunction] = []


def native(*arguments: Any, returns: Any = types.void) -> Callable[[Callable[..., Any]], NativeFunction]:
    """Compile a function for arguments of these types; Python may call it."""

    def wrap(function: Callable[..., Any]) -> NativeFunction:
        _functions.append(NativeFunction(function, returns(*arguments)))
        return _functions[-1]

    return wrap


@dataclass(frozen=True)
class Compilation:
    """What `compile_kernels` did: seconds it took, functions compiled anew, and the folder that keeps them."""

    seconds: float
    compiled: int
    folder: Path | None


def compile_kernels() -> Compilation:
    """Compile every native function of this package, or load it where an earlier process compiled it.

    10 s on one core the first time on a machine, 0.4 s later. Nothing has to call this: each function does the same
    when first called. It keeps that time out of what is measured, and can run once before many workers start at once.
    """
    began = time.perf_counter()
    loaded = [function.prepare() for function in _functions]
    folder = code_cache.cache_folder() if code_cache is not None else None
    return Compilation(time.perf_counter() - began, loaded.count(False), folder)
