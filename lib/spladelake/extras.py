"""The extras of the package: what each part of spladelake needs beside the core, and the message if it is missing."""

from __future__ import annotations

import importlib.util

from spladelake.errors import MachineError

# The packages of each extra by the names under which they are imported.
PACKAGES = {
    "spark": ("pyspark", "delta", "pandas"),
    "bm25": ("Stemmer",),
    "report": ("jinja2", "matplotlib"),
    "train": ("sentence_transformers", "datasets", "accelerate"),
    "data": ("ir_datasets",),
}


def require_extra(extra: str) -> None:
    """Raise MachineError with the name of the extra unless its packages are installed."""
    for package in PACKAGES[extra]:
        if importlib.util.find_spec(package) is None:
            raise _missing(package, extra)


def explained_import(error: BaseException) -> MachineError | None:
    """Return the MachineError for the failed import of a package of an extra; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.partition(".")[0]
    extra = next((extra for extra, packages in PACKAGES.items() if package in packages), None)
    return None if extra is None else _missing(package, extra)


def _missing(package: str, extra: str) -> MachineError:
    return MachineError(
        f"the package {package}",
        "it is not installed",
        f"wanted all packages of spladelake[{extra}]",
        f"Run pip install 'spladelake[{extra}]', or in a clone pip install '.[{extra}]'.",
    )
