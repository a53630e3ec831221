"""Unexpected errors of the operating system, explained as errors of this machine."""

from __future__ import annotations

import errno

from spladelake.errors import MachineError

_FULL = "Free some space, or choose a folder on a larger disk."
_CLOSED = "Change the permissions, or choose another folder."
_SAID = {
    errno.ENOSPC: ("the disk has no space left", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EFBIG: ("a file has reached the size limit", "Raise the limit (ulimit -f), or choose another file system."),
    errno.EROFS: ("the file system is read-only", _CLOSED),
    errno.EACCES: ("spladelake has no permission for this path", _CLOSED),
    errno.EPERM: ("spladelake has no permission for this path", _CLOSED),
    errno.EIO: ("the disk fails (input/output error)", "Check the disk, or choose another disk."),
    errno.EMFILE: ("too many files are open", "Raise the limit (ulimit -n)."),
}


def explained_by_system(error: BaseException) -> MachineError | None:
    """Return a MachineError with a place and a fix for an error of the operating system; None for any other error."""
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        fix = "Set TMPDIR to a writable folder."
        return MachineError("TMPDIR", "no folder for temporary files is writable", "wanted a writable folder", fix)
    if not isinstance(error, OSError) or error.errno not in _SAID:
        return None
    found, fix = _SAID[error.errno]
    place = next((str(name) for name in (error.filename, error.filename2) if name), "the output")
    return MachineError(place, found, "wanted to read or write the path", fix)
