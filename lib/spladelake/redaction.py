"""Secrets taken out of what is written down: settings, paths and messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

HIDDEN = "***"
# Names of settings and variables whose values are secrets: Spark's own pattern for its user interface, widened.
_SECRET_NAME = re.compile(r"(?i)secret|password|passwd|credential|access[._-]?key|api[._-]?key|(?:^|[._-])token$")
_IN_TEXT = (
    (re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+@"), f"{HIDDEN}@"),
    (re.compile(r"(?i)\b([\w.-]*(?:secret|password|passwd|credential|key|token|sig|signature))=[^\s&;,'\"]+"),
     rf"\1={HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}\b"), HIDDEN),
)  # fmt: skip
# Values shorter than this are words that also stand elsewhere.
_SHORTEST_SECRET = 6

Hide = Callable[[str], str]


def hider(named: Iterable[tuple[str, str]]) -> Hide:
    """A function that takes secrets out of a text: values whose name says so, and what looks like one.

    named: settings and environment variables as (name, value).
    """
    found = {value for name, value in named if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET}
    secrets = sorted(found, key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        for pattern, instead in _IN_TEXT:
            text = pattern.sub(instead, text)
        return text

    return hide


def without_secrets(value: Any, hide: Hide) -> Any:
    """A value of plain types with the secrets in it replaced: by the name of their key, or by how they look."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list | tuple):
        return [without_secrets(item, hide) for item in value]
    if isinstance(value, dict):
        return {
            key: HIDDEN if item and _SECRET_NAME.search(str(key)) else without_secrets(item, hide)
            for key, item in value.items()
        }
    return value
