"""The retrieval benchmark runs at a small size, and what it reports of exactness holds there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "bench_retrieve.py"


@pytest.mark.slow
def test_exact_peers_and_ours_agree_on_made_vectors() -> None:
    pytest.importorskip("cognition", reason="carries splade-tiny (extra demo)")
    peers = ["scipy", "torch"]
    command = [sys.executable, str(SCRIPT), "--docs", "3000", "--queries", "20", "--k", "50", "--rounds", "1"]
    result = subprocess.run(
        [*command, "--pool", "100", "--peers", ",".join(peers)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.strip().split("\n")[-1])
    assert figures["identical_to_oracle"] is True
    assert figures["rows"] == 20 * 50
    assert [figures["peers"][name]["recall_at_k"] >= 0.999 for name in peers] == [True] * 2
    assert figures["products"] > 20 * 3000 / 2
