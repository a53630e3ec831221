"""What this machine has to give: memory, and folders of its user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Where control groups keep their memory: by the controllers of a line of /proc/self/cgroup, the folder of the groups,
# their files of limit and use, and what of the use can be dropped. Source: the kernel's cgroup-v2 and cgroup-v1/memory.
_GROUPS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def user_folder(variable: str, default: str) -> Path:
    """A folder that an environment variable names, or that has a name below the user's home.

    A user without a home, as a container's may be, has it below the folder for temporary files.
    """
    path = os.path.expanduser(os.environ.get(variable) or f"~/{default}")
    if not path.startswith("~"):
        return Path(path)
    return Path(tempfile.gettempdir()) / f"spladelake-{os.getuid()}" / default


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can still be taken on this machine, or in its container where that allows less; None if unknown.

    What the kernel keeps of files, and would drop, counts as free. root: of the file system.
    """
    available = _number(root / "proc/meminfo", "MemAvailable:")
    return None if available is None else min([available * 1024, *_free_in_groups(root)])


def _free_in_groups(root: Path) -> Iterator[int]:
    """What each limited control group around this process has left."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for name in _GROUPS.keys() & set(controllers.split(",")):
            folder, limit_file, use_file, droppable = _GROUPS[name]
            top = root / "sys/fs/cgroup" / folder
            inner = top / path.lstrip("/")
            # A container may see its group at the top, under the path that it has outside.
            for group in (top, *(g for g in (inner, *inner.parents) if g.is_relative_to(top) and g != top)):
                limit, use = (_lines(group / file) for file in (limit_file, use_file))
                if limit and use and limit[0] != "max":
                    yield max(0, int(limit[0]) - int(use[0]) + (_number(group / "memory.stat", droppable) or 0))


def _number(file: Path, name: str) -> int | None:
    """The number after a name at the start of a line."""
    return next((int(words[1]) for words in map(str.split, _lines(file)) if words[:1] == [name]), None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
