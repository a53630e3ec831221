"""The package as a zip for spark-submit's --py-files. The same code always gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from spladelake.errors import MachineError

# The earliest time that a zip can hold. With the real times of the files every clone would make a different zip.
_TIME = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = (".pyc", ".pyo", ".nbi", ".nbc")


@dataclass(frozen=True)
class Package:
    """A zip file that was written."""

    path: Path
    sha256: str
    files: int
    bytes: int


def package_files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name in the zip, content) of every source and data file below a folder, sorted by name, without caches."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{prefix}/{entry.name}"
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from package_files(entry, name)
        elif not entry.name.endswith(_LEFT_OUT):
            yield name, entry.read_bytes()


def write_package(target: Path) -> Package:
    """Write this installation of spladelake as a zip. Raises MachineError if the file cannot be written."""
    content, count = io.BytesIO(), 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in package_files(files("spladelake"), "spladelake"):
            entry = zipfile.ZipInfo(name, date_time=_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
            count += 1
    data = content.getvalue()
    try:
        target.write_bytes(data)
    except OSError as error:
        found = f"the file cannot be written ({error.strerror})"
        raise MachineError(str(target), found, "wanted a writable file", "Choose another --output.") from None
    return Package(target, hashlib.sha256(data).hexdigest(), count, len(data))
