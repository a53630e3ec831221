"""Names made from what a user typed, safe as a folder or a table name."""

from __future__ import annotations

import re


def short_name(model: str) -> str:
    """A model's name for folders and tables: `rasyosef/splade-mini@main` is splade-mini.

    Letters, digits, dots, dashes and underscores only. Of a folder inside a package the whole path is kept, since
    the last part alone says little: `package:cognition/model` is cognition-model.
    """
    name = model.removeprefix("package:").split("@")[0].replace("\\", "/").rstrip("/")
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    kept = parts if model.startswith("package:") else parts[-1:]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(kept)).strip("-.") or "model"
