"""Removal of secrets from settings, paths and messages before they are stored or shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

HIDDEN = "***"
# Names of settings and variables with secret values: Spark's own redaction pattern, extended.
_SECRET_NAME = re.compile(r"(?i)secret|password|passwd|credential|access[._-]?key|api[._-]?key|(?:^|[._-])token$")
_IN_TEXT = (
    (re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+@"), f"{HIDDEN}@"),
    (re.compile(r"(?i)\b([\w.-]*(?:secret|password|passwd|credential|key|token|sig|signature))=[^\s&;,'\"]+"),
     rf"\1={HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}\b"), HIDDEN),
)  # fmt: skip
# A shorter value is likely to be an ordinary word that other texts contain, so it is not replaced.
_SHORTEST_SECRET = 6

Hide = Callable[[str], str]


def hider(named: Iterable[tuple[str, str]]) -> Hide:
    """Return a function that replaces secrets in a text: values of settings with a secret's name, and typical patterns.

    - named: settings and environment variables as (name, value).
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
    """Return a value of plain types without its secrets, which are found by the name of their key or by a pattern."""
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
