"""Names that a user typed: made safe as a folder or a table name, or set right where they are unknown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def short_name(model: str) -> str:
    """A model's name for folders and tables: `rasyosef/splade-mini@main` is splade-mini.

    Letters, digits, dots, dashes and underscores only. Of a folder inside a package the whole path is kept, since
    the last part alone says little: `package:cognition/model` is cognition-model.
    """
    name = model.removeprefix("package:").split("@")[0].replace("\\", "/").rstrip("/")
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    kept = parts if model.startswith("package:") else parts[-1:]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(kept)).strip("-.") or "model"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What an error says of an unknown name: the known one that is near, else those that there are."""
    names = list(known)
    if close := closest(name, names):
        return f"did you mean {close!r}?"
    return f"known are {', '.join(names)}" if names else "there is none"
