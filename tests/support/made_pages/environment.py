"""The page `environment`: the variables that the code reads. A test compares their names with the code."""

from __future__ import annotations

import re

VARIABLES = (
    ("`SPLADELAKE_DEVICE`", "Device of the models: `cpu`, `cuda`, `cuda:1` or `mps`. Default: the GPU that Spark "
     "assigns to the task, else a GPU of the machine, else the CPU."),
    ("`SPLADELAKE_JARS`", "Folder of the Delta jars. Default: `jars` in the cache folder."),
    ("`SPLADELAKE_LOCK`", "`off`: no lock of tables on S3. Only if no two jobs ever write at once. Default: `on`."),
    ("`SPLADELAKE_LOCK_SECONDS`", "Longest wait for another job on the same table, 3600 by default. After it the job "
     "ends with exit code 4."),
    (
        "`SPLADELAKE_DELTA`",
        "`public`: ask tables for their version, properties and history through public interfaces only. Default: "
        "through the classes of Delta's log if they are there.",
    ),
    ("`SPLADELAKE_PREPARE`", "`off`: no command makes the archive of Spark's classes in the background."),
    (
        "`SPLADELAKE_WORKER_IMPORTS`",
        "Set by local sessions for their Python workers: the packages that Spark's daemon imports before it starts a "
        "worker. With `--spark-conf spark.python.daemon.module=pyspark.daemon`, each worker imports them itself.",
    ),
    ("`XDG_CACHE_HOME`", "Parent of the cache folder `spladelake`. Default: `~/.cache`."),
    ("`XDG_STATE_HOME`", "Parent of the folder `spladelake` with the history of the SQL prompt. Default: "
     "`~/.local/state`."),
    ("`JAVA_HOME`", "The Java to use. Default: the `java` on the path."),
    ("`SPARK_HOME`", "The Spark to use, if its version is that of the installed pyspark."),
    ("`JAVA_TOOL_OPTIONS`, `JDK_JAVA_OPTIONS`", "Options of Java. If they choose a garbage collector, short commands "
     "choose none."),
    ("`PYSPARK_PYTHON`", "Interpreter of the workers in a local session. Default: the interpreter that runs."),
    ("`SPARK_REMOTE`", "Address of a Spark Connect server. Some jobs and the functions on "
     "DataFrames run on it; other commands refuse it with exit code 2."),
    ("`SPARK_LOCAL_IP`", "Address of Spark in a local session. Default: `127.0.0.1`."),
    ("`SPARK_LAUNCHER_OPTS`", "Options of the Java process that starts Spark in a local session."),
    ("`TOKENIZERS_PARALLELISM`, `RAYON_NUM_THREADS`", "Threads of the tokenizers. A Spark task sets the first from its "
     "number of cores."),
    ("`HF_HUB_DISABLE_PROGRESS_BARS`", "`0`: show the progress bars of the Hugging Face hub in logs too."),
    ("`HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`", "`1`: load models only from folders and from the cache of the hub."),
    ("`NO_COLOR`", "Any value: no colours."),
    ("`COLUMNS`", "Width of tables. Default: the width of the terminal, or 160 in a log."),
)  # fmt: skip
HEAD = """# Environment variables

Variables that change where and how a command runs.

The options of a job decide its result.

| variable | effect |
|---|---|
"""
END = """
A pipeline file reads any variable as `${NAME}`, or as `${NAME:-default}` with a default.
"""


def page() -> str:
    """The whole page in Markdown."""
    return HEAD + "".join(f"| {names} | {effect} |\n" for names, effect in VARIABLES) + END


def listed() -> set[str]:
    """Names of all variables on the page."""
    return {name for names, _ in VARIABLES for name in re.findall(r"`([A-Z_]+)`", names)}
