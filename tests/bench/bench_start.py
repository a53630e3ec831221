"""Seconds until something can be done: the help page, and a local session that answers; the last line is JSON.

    python tests/bench/bench_start.py [--rounds 5] [--out tests/bench/results/start.json]

Each round is a process of its own, timed from its start; a round before warms the caches of the file system, as
on a machine that has run a job before. A session is there when it has counted a row; with Delta when it has also read
a table of one row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELP = "from spladelake.cli import main; main(['--help'])"
SESSION = """
from spladelake.spark.session import spark_session
session = spark_session("bench_start")
assert session.range(1).count() == 1
"""
TABLE = "assert session.read.format('delta').load({table!r}).count() == 1\n"
MAKE = "session.range(1).write.format('delta').mode('ignore').save({table!r})\n"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    figures: dict[str, float] = {"cores": len(os.sched_getaffinity(0)), "rounds": options.rounds}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        table = f"{folder}/table"
        seconds(SESSION + MAKE.format(table=table), folder)
        for name, code in (
            ("help_s", HELP),
            ("session_s", SESSION),
            ("session_and_table_s", SESSION + TABLE.format(table=table)),
        ):
            figures[name] = round(min(seconds(code, folder) for _ in range(options.rounds)), 2)
            print(name, figures[name], flush=True)
    figures["load_at_end"] = round(os.getloadavg()[0], 2)
    if options.out is not None:
        options.out.write_text(json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1) + "\n")
    print(json.dumps(figures))


def seconds(code: str, folder: str) -> float:
    """Of a process that runs the code and leaves without tidying up."""
    program = f"{code}\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()\n"
    command = [sys.executable, "-c", program]
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        else:
            raise RuntimeError(f"it ended with {process.wait()}:\n{code}")
        taken = time.monotonic() - began
        process.stdin.close()
    return taken


if __name__ == "__main__":
    main()
