"""The commands of the README, line by line, as a newcomer finds them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def shell_lines() -> list[str]:
    """Every line of the sh blocks: continued ones joined, spaces single, comments left out."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+", " ", re.sub(r"\s# .*", "", line)).strip() for line in lines if line.strip()]


def spladelake_lines() -> list[str]:
    """Those that are one command of spladelake."""
    return [line for line in shell_lines() if line.startswith("spladelake ")]
