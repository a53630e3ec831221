"""Write the pages that are made from the code and from the records.

python tests/support/made_pages/make.py
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.made_pages import cli, environment, figures, five, tables

COMMAND = "python tests/support/made_pages/make.py"
REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / "lib" / "spladelake" / "docs"
README = REPOSITORY / "README.md"
MAKERS = {"cli": cli.page, "environment": environment.page, "figures": figures.page, "tables": tables.page}
NOTE = f"\n<!-- made by: {COMMAND} -->\n"


def text(topic: str) -> str:
    """A page as its file must be."""
    return MAKERS[topic]().rstrip("\n") + "\n" + NOTE


def readme() -> str:
    """The README with the figures as they must be."""
    before, _, rest = README.read_text(encoding="utf-8").partition(five.BEGIN)
    return before + five.part() + rest.partition(five.END)[2]


if __name__ == "__main__":
    for name in MAKERS:
        (FOLDER / f"{name}.md").write_text(text(name), encoding="utf-8")
        print(FOLDER / f"{name}.md")
    README.write_text(readme(), encoding="utf-8")
    print(README)
