"""Memory and user folders of this machine."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Numbers of system errors of a place that takes no more files: no permission, or no space.
CANNOT_STORE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

# How control groups report memory. By the controllers of a line of /proc/self/cgroup: folder of the groups, file of the
# limit, file of the use, and the entry of memory.stat with the part of the use that the kernel can drop. Source: the
# kernel's cgroup-v2 and cgroup-v1/memory.
_GROUPS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def user_folder(variable: str, default: str) -> Path:
    """Return the folder that an environment variable names, else a folder below the user's home.

    - variable: name of the environment variable.
    - default: path below the home. If the user has no home, as in some containers, it is below the temporary folder.
    """
    path = os.path.expanduser(os.environ.get(variable) or f"~/{default}")
    if not path.startswith("~"):
        return Path(path)
    return Path(tempfile.gettempdir()) / f"spladelake-{os.getuid()}" / default


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that are free on this machine, or in its container if that has fewer; None if unknown.

    File caches that the kernel can drop count as free.

    - root: root of the file system.
    """
    available = _number(root / "proc/meminfo", "MemAvailable:")
    return None if available is None else min([available * 1024, *_free_in_groups(root)])


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yield the free bytes of each limited control group around this process."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for name in _GROUPS.keys() & set(controllers.split(",")):
            folder, limit_file, use_file, droppable = _GROUPS[name]
            top = root / "sys/fs/cgroup" / folder
            inner = top / path.lstrip("/")
            # In a container the group can be mounted at the top, while its path is the one outside the container.
            for group in (top, *(g for g in (inner, *inner.parents) if g.is_relative_to(top) and g != top)):
                limit, use = (_lines(group / file) for file in (limit_file, use_file))
                if limit and use and limit[0] != "max":
                    yield max(0, int(limit[0]) - int(use[0]) + (_number(group / "memory.stat", droppable) or 0))


def _number(file: Path, name: str) -> int | None:
    """Return the number after a name at the start of a line; None if there is no such line."""
    return next((int(words[1]) for words in map(str.split, _lines(file)) if words[:1] == [name]), None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def cache_folder() -> Path:
    """Return this package's folder in the user's cache, below XDG_CACHE_HOME or ~/.cache."""
    return user_folder("XDG_CACHE_HOME", ".cache") / "spladelake"
