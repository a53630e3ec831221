"""Failures that reached the driver through Spark, turned into the errors that caused them."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pyspark.errors import PySparkException

from spladelake import errors
from spladelake.errors import ConflictError, DataError, MachineError, SpladelakeError
from spladelake.names import shortened
from spladelake.spark.session.delta_classes import SETTINGS
from spladelake.spark.session.java_errors import full_text
from spladelake.spark.session.stores import store_error
from spladelake.spark_versions import FITTING

_CONFLICTS = (
    "ConcurrentAppend",
    "ConcurrentDelete",
    "ConcurrentWrite",
    "MetadataChanged",
    "ProtocolChanged",
    "ConcurrentTransaction",
    "DELTA_CONCURRENT",
)


_NO_ACCESS = ("Permission denied", "Read-only file system", "Mkdirs failed", "AccessControlException")

_LARGER = "put spark.local.dir and --lake on a larger disk"
# Found and fix, by the system's message.
_NO_SPACE = {
    "No space left on device": ("the disk is full", f"Free space, or {_LARGER}."),
    "Disk quota exceeded": ("the disk quota of the user is used up", f"Delete files, or {_LARGER}."),
    "File too large": ("a file is larger than the system allows", f"Raise the limit (`ulimit -f`), or {_LARGER}."),
}

_UNREADABLE = (
    "EOFException",
    "not in gzip format",
    "incorrect header check",
    "ZipException",
    "CANNOT_READ_FILE_FOOTER",
    "is not a Parquet file",
    "UNABLE_TO_INFER_SCHEMA",
    "FAILED_READ_FILE",
    "invalid stored block lengths",
)


# Java's errors if two programs were not built for each other.
_LINKAGE = (
    "java.lang.NoSuchMethodError",
    "java.lang.NoSuchFieldError",
    "java.lang.NoClassDefFoundError",
    "java.lang.AbstractMethodError",
    "java.lang.IncompatibleClassChangeError",
    "ClassNotFoundException: org.apache.spark.sql.delta",
    "ClassNotFoundException: io.delta",
    "ClassNotFoundException: scala.",
)
_NO_EXTENSION = (
    "DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG",
    "Failed to find the data source: delta",
    "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: `delta`",
)


# Text that Spark appends to an error that a SQL expression raised.
_SQLSTATE = re.compile(r"\s*SQLSTATE: \w{5}\b.*")
# Spark's message about a file that it cannot read, with the reason; and the names that Spark gives to data files.
_READING = re.compile(r"\[FAILED_READ_FILE\.\w+\] Encountered error while reading file (.+?)\.\s+(.*)")
_DATA_FILE = re.compile(r"/part-\d{5}-[0-9a-f]{8}-[0-9a-f-]{27}\S*$")


def _unreadable_file(text: str) -> DataError:
    """Return the error for a truncated, damaged or wrongly formatted file, from Spark's message and its causes."""
    read = _READING.search(text)
    if read is None:
        place, reason = "the inputs", _line_with(text, *_UNREADABLE)
    else:
        causes = re.findall(r"^(?:Caused by: )?(?:[\w$]+\.)+(\w+(?:Exception|Error): .+)$", text, re.MULTILINE)
        inner = [cause for cause in causes if "FAILED_READ_FILE" not in cause and "Job aborted" not in cause]
        place = re.sub("^file:/*", "/", unquote(read[1]))
        reason = shortened(inner[-1] if inner else read[2].removesuffix("."))
    found = f"the file cannot be read ({reason})"
    if read is None:
        found = f"a file that Spark does not name cannot be read ({reason})"
    if _DATA_FILE.search(place):
        fix = "Restore the file from a copy, or rerun, with --force, the job that made the table."
        return DataError(place, found, "wanted the file as the job wrote it", fix)
    if "DATA_TYPE_MISMATCH" in text:
        fix = "Write the files again with one type for each column, or ingest the files separately."
        return DataError(place, found, "wanted the same column types as in the first file", fix)
    fix = "Copy the file again from its source, or correct its format option, such as --documents-format."
    if read is None:
        fix = f"Find the file with a tool such as gzip -t. {fix}"
    wanted = "wanted a complete file in the format that the format option or the ending of its name says"
    return DataError(place, found, wanted, fix)


def _broken_constraint(text: str) -> DataError | None:
    """Return the error for a row that Delta refuses, naming the constraint and values; None for another text."""
    match = re.search(r"DELTA_VIOLATE_CONSTRAINT_WITH_VALUES\]? *(.+)((?:\n\s*- .+)*)", text)
    if match is None:
        return None
    said, _, _ = _SQLSTATE.sub("", match[1]).partition(" violated by row with values:")
    lines = (_SQLSTATE.sub("", line).strip().removeprefix("- ") for line in match[2].splitlines())
    values = ", ".join(line.replace(" : ", " = ", 1) for line in lines if line)
    return DataError(
        "the target table",
        f"a row breaks the {said.strip()}" + (f", with {shortened(values)}" if values else ""),
        "wanted rows that meet the constraints of the table",
        "Correct the input row that breaks the constraint, or the program that wrote it.",
    )


def _without_delta(text: str) -> MachineError:
    """Return the error of a session whose Delta is missing, or was built for another Spark or Scala."""
    if any(sign in text for sign in _LINKAGE):
        return MachineError(
            "the classes of this session",
            f"a jar was built for another Spark or Scala than the session's ({_line_with(text, *_LINKAGE)})",
            f"wanted a Delta that fits Spark: {FITTING}",
            "Run `spladelake doctor` to see the versions, and replace the jar that does not fit.",
        )
    settings = " and ".join(f"{key}={value}" for key, value in SETTINGS.items())
    return MachineError(
        "this Spark session",
        "the session started without Delta Lake's extension",
        f"wanted {settings}",
        "Set both before the session starts, and put Delta's jars on its class path.",
    )


def _line_with(text: str, *signs: str) -> str:
    """Return the first line that contains one of the signs, cut to 300 characters. Java's lines may begin with ": "."""
    return shortened(
        next((line.strip().removeprefix(": ") for line in text.splitlines() if any(s in line for s in signs)), "")
    )


class WorkerError(SpladelakeError):
    """One of our errors that arrived from a worker as text: its four parts are unknown."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__("worker", message, "", "")
        self.message, self.exit_code = message, exit_code

    def __str__(self) -> str:
        return self.message


# Signs of a program that ended or is missing, and the parts of the message.
_ENDED = {
    ("Answer from Java side is empty", "Error while sending or receiving"): (
        "Java",
        "Java ended while the job ran",
        "wanted Java to run as long as the job",
        "Read the lines above. If they give no reason, the operating system may have ended Java because the "
        "machine ran out of memory: lower spark.driver.memory, or use a machine with more memory.",
    ),
    ("No module named 'spladelake'",): (
        "a worker of Spark",
        "its Python lacks the package spladelake",
        "wanted the package and its requirements on every node",
        "Install spladelake on every node, or write its zip file with `spladelake package` and submit the job with "
        "--py-files and this file.",
    ),
    ("StatusCode.UNAVAILABLE",): (
        "the server of Spark Connect",
        "the server no longer answers",
        "wanted a server that runs as long as the job",
        "Start the server again, then run the job again.",
    ),
    ("JAVA_GATEWAY_EXITED",): (
        "Java",
        "Java ended before Spark started",
        "wanted Java to start Spark",
        "Read the lines above for the reason. If Java refuses a Spark setting, correct the setting.",
    ),
}


def known_error(error: BaseException) -> SpladelakeError | None:
    """Return the error behind a Spark failure, with its exit code; None if the failure is unknown."""
    text = full_text(error)
    if match := re.search(r"spladelake\.errors\.(\w+): (.+)", text):
        kind = getattr(errors, match[1], SpladelakeError)
        return WorkerError(_SQLSTATE.sub("", match[2]).strip(), kind.exit_code)
    if any(name in text for name in _CONFLICTS):
        return ConflictError(
            "the target table",
            "another writer changed the table at the same time",
            "wanted one writer at a time",
            "Run the job again after the other writer has finished.",
        )
    if (broken := _broken_constraint(text)) is not None:
        return broken
    for sign, (found, fix) in _NO_SPACE.items():
        if sign in text:
            return errors.MachineError("the disk", found, "wanted space for tables and temporary files", fix)
    if any(sign in text for sign in (*_LINKAGE, *_NO_EXTENSION)):
        return _without_delta(text)
    if "://" in text and re.search(r"\bfs\.(s3a|azurebfs|gcs)\b|\bs3a://|\babfss?://|\bgs://", text):
        place = re.search(r"\b(?:s3a|abfss?|gs)://[^\s,:;'\"]+", text)
        if (refused := store_error(text, place[0] if place else "the store")) is not None:
            return refused
    if any(sign in text for sign in _NO_ACCESS):
        return errors.MachineError(
            "the file system",
            _line_with(text, *_NO_ACCESS),
            "wanted access to the inputs and the tables of the job",
            "Choose a folder on a disk that is not read-only."
            if "Read-only file system" in text
            else "Change the permissions, or choose another folder.",
        )
    if any(sign in text for sign in _UNREADABLE):
        return _unreadable_file(text)
    for signs, parts in _ENDED.items():
        if any(sign in text for sign in signs):
            return errors.MachineError(*parts)
    if isinstance(error, PySparkException) and "PATH_NOT_FOUND" in text:
        missing = re.search(r"Path does not exist: (?:file:)?(.+?)\.?(?:\s+SQLSTATE|\n|$)", text)
        path, fix = (missing[1], "Correct the path.") if missing else ("an input", "Check every path in the options.")
        return DataError(path, "the path does not exist", "wanted an existing file or folder", fix)
    return None
