"""Compilation of the scoring functions to native code: once per machine; later processes load it from disk."""

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
    # The cache uses numba's internals. If a later numba changes them, each process compiles for itself.
    code_cache = None  # type: ignore[assignment]


def part(function: Callable[..., Any]) -> Any:
    """Compile a function into each of its callers; only native functions may call it."""
    return njit(nogil=True, error_model="numpy")(function)


def array(dtype: Any, dimensions: int = 1) -> Any:
    """Return the type of a contiguous array that the function writes to."""
    return types.Array(dtype, dimensions, "C")


def view(dtype: Any, dimensions: int = 1) -> Any:
    """Return the type of a contiguous array that the function only reads, such as a view of a table's bytes."""
    return types.Array(dtype, dimensions, "C", readonly=True)


class NativeFunction:
    """A Python function compiled for one signature, or loaded from disk, at its first call."""

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self.__doc__ = function.__doc__
        self._function, self._signature = function, signature

    @cached_property
    def _dispatcher(self) -> Any:
        # nogil lets threads of one process score in parallel; with the error model of numpy, x / 0 is inf.
        dispatcher: Any = njit(nogil=True, error_model="numpy")(self._function)
        if code_cache is not None:
            code_cache.keep_on_disk(dispatcher, self._function)
        dispatcher.compile(self._signature)
        # Arguments of other types now raise TypeError; numba would otherwise compile for seconds in each process.
        dispatcher.disable_compile()
        return dispatcher

    def __call__(self, *args: Any) -> Any:
        return self._dispatcher(*args)

    def prepare(self) -> bool:
        """Compile or load the function; return whether it was loaded from disk."""
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
    """The result of `compile_kernels`: seconds, number of functions compiled, and the folder of the compiled code."""

    seconds: float
    compiled: int
    folder: Path | None


def compile_kernels() -> Compilation:
    """Compile every native function of this package, or load it from disk if an earlier process compiled it.

    The first call on a machine takes 10 s on one core, later calls take 0.4 s. The call is optional, as each function
    compiles at its first call. It keeps that time out of measurements, and it can run before many workers start.
    """
    began = time.perf_counter()
    loaded = [function.prepare() for function in _functions]
    folder = code_cache.kernel_folder() if code_cache is not None else None
    return Compilation(time.perf_counter() - began, loaded.count(False), folder)
