"""Names that users type: made safe for folders and tables, or corrected if they are unknown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable


def short_name(model: str) -> str:
    """Return a model's name for folders and tables: splade-mini for `rasyosef/splade-mini@main`.

    It has only letters, digits, dots, dashes and underscores. The name of a folder inside a package comes from the
    whole path, because the last part alone says little: `package:cognition/model` becomes cognition-model.
    """
    name = model.removeprefix("package:").split("@")[0].replace("\\", "/").rstrip("/")
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    kept = parts if model.startswith("package:") else parts[-1:]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(kept)).strip("-.") or "model"


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def listed(names: Iterable[str], last: str = "or") -> str:
    """Return names as a list in a sentence: `a, b or c`.

    - last: the word before the last name, `or` or `and`.
    """
    *most, end = [*names] or ["none"]
    return f"{', '.join(most)} {last} {end}" if most else end


def amount(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`.

    - many: the plural, if it does not only add an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def example(count: int, said: str) -> str:
    """Return an example in brackets for a sentence that names `count` things, or the only thing itself.

    - said: the example, such as `'d1'`.
    """
    return f"({said})" if count == 1 else f"(for example {said})"


def shortened(text: str, most: int = 300) -> str:
    """Return a text of at most `most` characters; an ellipsis follows if more were there."""
    return text if len(text) <= most else f"{text[:most]}…"


def some(names: Collection[str], most: int = 5) -> str:
    """Return the first names as a list, and the number of the others: `a, b and 7 more`."""
    shown = list(names)[:most]
    return ", ".join(shown) + f" and {len(names) - most:,} more" if len(names) > most else listed(shown, "and")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a clause for an error about an unknown name: the most similar known name, or else all known names."""
    names = list(known)
    if close := closest(name, names):
        return f"did you mean {close!r}?"
    return f"wanted {listed(names)}" if names else "no name is known"
