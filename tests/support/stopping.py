"""A process that ends after some calls of a function, without its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest


class StoppedError(Exception):
    """Stands for a process that ends here."""


@contextmanager
def stopped_after(module: ModuleType, function: str, calls: int) -> Iterator[None]:
    """The body must end as a process does that is stopped when the function has returned for the n-th time."""
    real, returned = getattr(module, function), []

    def stopping(*given: Any, **named: Any) -> Any:
        returned.append(real(*given, **named))
        if len(returned) == calls:
            raise StoppedError
        return returned[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, function, stopping)
        with pytest.raises(StoppedError):
            yield
