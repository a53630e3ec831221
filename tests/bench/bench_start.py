"""Seconds until something can be done: the help page, and a local session that answers; the last line is JSON.

    python tests/bench/bench_start.py [--rounds 5] [--out tests/bench/results/start.json]

Each round is a process of its own, timed from its start; a round before warms the caches of the file system, as
on a machine that has run a job before. A session is there when it has counted a row; with Delta when it has also read
a table of one row. Both without and with what `spladelake prepare` makes, in a cache folder of the benchmark's own; the
rounds of the two alternate.
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

from spladelake.spark.session.jars import jars_folder

HELP = "from spladelake.cli import main; main(['--help'])"
PREPARE = "from spladelake.cli import main; assert main(['prepare']) == 0"
SESSION = """
from spladelake.spark.session.start import spark_session
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
        table, bare, prepared = (f"{folder}/{name}" for name in ("table", "bare", "prepared"))
        seconds(SESSION + MAKE.format(table=table), folder, cache=bare)
        figures["prepare_s"] = round(seconds(PREPARE, folder, cache=prepared), 2)
        code = {"help": HELP, "session": SESSION, "session_and_table": SESSION + TABLE.format(table=table)}
        for name in code:
            caches = {f"{name}_s": bare} | ({f"{name}_prepared_s": prepared} if name != "help" else {})
            rounds = [
                {key: seconds(code[name], folder, cache=caches[key]) for key in caches} for _ in range(options.rounds)
            ]
            figures |= {key: round(min(taken[key] for taken in rounds), 2) for key in caches}
            print(*(f"{key} {figures[key]}" for key in caches), flush=True)
    figures["load_at_end"] = round(os.getloadavg()[0], 2)
    if options.out is not None:
        options.out.write_text(json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1) + "\n")
    print(json.dumps(figures))


def seconds(code: str, folder: str, *, cache: str) -> float:
    """Of a process that runs the code and leaves without tidying up; with a cache folder, and the jars of this user."""
    program = f"{code}\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()\n"
    command = [sys.executable, "-c", program]
    env = {**os.environ, "XDG_CACHE_HOME": cache, "SPLADELAKE_JARS": str(jars_folder())}
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
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
