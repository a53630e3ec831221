"""An object on S3 that is written only if it is absent, or unchanged since it was read (S3's conditional writes)."""

from __future__ import annotations

import re
from typing import Any

from pyspark import SparkContext

from spladelake.spark.session.java_errors import full_text

# Options of Hadoop's createFile, from Hadoop 3.4.2 on.
_IF_ABSENT = "fs.option.create.conditional.overwrite"
_IF_SAME = f"{_IF_ABSENT}.etag"
# A write whose condition failed.
_REFUSED = re.compile(
    r"[Ss]tatus [Cc]ode:? ?(?:409|412)\b|PreconditionFailed|RemoteFileChanged|FileAlreadyExists"
    r"|ConditionalRequestConflict"
)


def is_absent(error: Exception) -> bool:
    """Return whether a store fails because there is no such object."""
    return "FileNotFoundException" in full_text(error)


class StoreObject:
    """A small object of a store that Hadoop's S3A client reaches.

    - system: Hadoop's file system of the path. Default: the session's.
    """

    def __init__(self, path: str, system: Any = None) -> None:
        jvm: Any = SparkContext._jvm
        context = SparkContext._active_spark_context
        assert context is not None
        self.path = jvm.org.apache.hadoop.fs.Path(path)
        self.system = self.path.getFileSystem(context._jsc.hadoopConfiguration()) if system is None else system

    def has_conditions(self) -> bool:
        """Return whether the client knows conditional writes."""
        return bool(self.system.hasPathCapability(self.path, _IF_ABSENT))

    def read(self) -> tuple[bool, str] | None:
        """Return whether the object has content, and its etag; None if there is no object.

        One request tells both, so the object may change at any time.
        """
        try:
            status = self.system.getFileStatus(self.path)
        except Exception as error:
            if is_absent(error):
                return None
            raise
        return int(status.getLen()) > 0, str(status.getEtag())

    def write(self, content: bytes, etag: str | None) -> str | None:
        """Write the object if it is absent (no etag) or has the etag; return its new etag, or None if it is not so."""
        builder = self.system.createFile(self.path).overwrite(True)
        if etag is None:
            builder.must(_IF_ABSENT, "true")
        else:
            builder.must(_IF_SAME, etag)
        try:
            stream = builder.build()
            if content:
                stream.write(content)
            stream.close()
        except Exception as error:
            # An object that is absent does not have the etag.
            if _REFUSED.search(full_text(error)) or (etag is not None and is_absent(error)):
                return None
            raise
        return str(self.system.getFileStatus(self.path).getEtag())
