"""Unexpected errors of the operating system, explained as errors of this machine."""

from __future__ import annotations

import errno
import shlex
from pathlib import Path

from spladelake.errors import MachineError

_FULL = ("wanted space for the output", "Free some space, or choose a folder on a larger disk.")
_CLOSED = ("wanted permission to read or write it", "Change the permissions, or choose another folder.")
_LARGE = ("wanted a higher limit", "Raise the limit (ulimit -f), or choose another file system.")
# Found, wanted and fix, by the number of the error.
_SAID = {
    errno.ENOSPC: ("the disk has no space left", *_FULL),
    errno.EDQUOT: ("the disk quota is used up", *_FULL),
    errno.EFBIG: ("a file has reached the size limit", *_LARGE),
    errno.EROFS: ("the file system is read-only", "wanted a writable path", "Choose a folder on another file system."),
    errno.EACCES: ("spladelake has no permission for this path", *_CLOSED),
    errno.EPERM: ("spladelake has no permission for this path", *_CLOSED),
    errno.EIO: ("the disk fails (input/output error)", "wanted a working disk", "Check it, or choose another disk."),
    errno.EMFILE: ("too many files are open", "wanted to open one more file", "Raise the limit (ulimit -n)."),
}


def explained_by_system(error: BaseException) -> MachineError | None:
    """Return a MachineError with a place and a fix for an error of the operating system; None for any other error."""
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        fix = "Set TMPDIR to a writable folder."
        return MachineError("TMPDIR", "no folder for temporary files is writable", "wanted a writable folder", fix)
    if not isinstance(error, OSError) or error.errno not in _SAID:
        return None
    found, wanted, fix = _SAID[error.errno]
    place = next((str(name) for name in (error.filename, error.filename2) if name), "the output")
    return MachineError(place, found, wanted, fix)


def cannot_write(target: str, error: OSError, *, option: str) -> MachineError:
    """Return the error for an output file that cannot be written.

    - option: the option that names the file.
    """
    folder = Path(target).parent
    if not folder.exists():
        fix = f"Create the folder with mkdir -p {shlex.quote(str(folder))}, or choose another {option}."
        return MachineError(target, f"there is no folder {folder}", "wanted an existing folder for the file", fix)
    if isinstance(error, IsADirectoryError):
        return MachineError(target, "this is a folder", "wanted a file", f"Add the name of a file to {option}.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(target, *_SAID[error.errno])
    found, fix = (
        f"the file cannot be written ({error.strerror})",
        f"Change the permissions, or choose another {option}.",
    )
    return MachineError(target, found, "wanted a writable file", fix)
