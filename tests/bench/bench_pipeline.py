"""Time the demo and the pipeline over msmarco-dl1920 as a user runs them; the last line is JSON.

python tests/bench/bench_pipeline.py --data ../shared/data
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
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def timed(*arguments: str, env: dict[str, str] | None = None) -> tuple[float, str]:
    """Seconds of one command, from start to end of its process, and what it printed on stdout."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "spladelake", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.monotonic() - started, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help="folder that holds msmarco-dl1920")
    parser.add_argument("--skip-demo", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    if not options.skip_demo:
        seconds, out = timed("demo")
        print(out)
        figures["demo_s"] = round(seconds, 1)
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        environment = {"SPLADELAKE_DATA": str(Path(options.data).absolute())}
        command = ("pipeline", "run", "conf/msmarco-dl1920.yaml", "--lake", f"{folder}/lake")
        seconds, out = timed(*command, env=environment)
        steps = json.loads(out.strip().splitlines()[-1])["steps"]
        figures["pipeline_s"] = round(seconds, 1)
        figures["encode_docs_s"] = steps["encode_texts"]["documents"]["docs_per_second"]
        figures["encode_tokens_s"] = steps["encode_texts"]["documents"]["tokens_per_second"]
        figures["padding_waste"] = steps["encode_texts"]["documents"]["padding_waste"]
        figures["retrieve_s"] = steps["retrieve_run"]["seconds"]
        figures["evaluate_s"] = steps["evaluate_run"]["seconds"]
        figures["measures"] = {name: round(value, 4) for name, value in steps["evaluate_run"]["measures"].items()}
        seconds, _ = timed(*command, env=environment)
        figures["unchanged_rerun_s"] = round(seconds, 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
