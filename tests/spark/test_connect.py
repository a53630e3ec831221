"""The functions run on Spark Connect: a server in a process of its own, and a client that has no JVM."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from spladelake.encoder import SpladeEncoder
from spladelake.scoring import compile_kernels
from support.collections import FRUIT, QUESTIONS
from support.connect import LIB, connect_server, needs_connect
from support.processes import environment
from support.vector_tables import brute_force

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client found."""
    needs_connect()
    compile_kernels()  # or each worker of the server would compile them for itself
    with connect_server(tmp_path_factory.mktemp("connect")) as address:
        client = subprocess.run(
            [sys.executable, "-m", "support.connect_client", address],
            env=environment(PYTHONPATH=LIB), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert client.returncode == 0, client.stderr[-4000:]
    told: dict[str, Any] = json.loads(client.stdout.splitlines()[-1])
    return told


def test_texts_are_encoded_and_ranked_through_a_server(found: dict[str, Any]) -> None:
    encoder = SpladeEncoder.load("splade-tiny", device="cpu", threads=1)
    sides = {}
    for side, texts, encode in (
        ("documents", FRUIT, encoder.encode_documents), ("queries", QUESTIONS, encoder.encode_queries),
    ):  # fmt: skip
        sides[side] = {i: {int(t): w for t, w in vector.items()} for i, vector in found[side].items()}
        wanted = encode(list(texts.values()))
        for row, name in enumerate(texts):
            indices, values = wanted.row(row)
            assert list(sides[side][name]) == indices.tolist()
            assert list(sides[side][name].values()) == pytest.approx(values.tolist(), abs=1e-5)
    assert sorted(map(tuple, found["run"])) == brute_force(sides["queries"], sides["documents"], 3)
    first = found["search"][0]
    assert (first["rank"], first["doc_id"], first["text"]) == (1, "bread", FRUIT["bread"])


def test_runs_are_measured_compared_and_explained_through_a_server(found: dict[str, Any]) -> None:
    # Each question has one relevant document, and finds it first; without the apple one of three finds nothing.
    assert found["measures"] == {"ndcg@10": 1.0, "mrr@10": 1.0}
    (pair,) = found["pairs"]
    assert (pair["run_a"], pair["run_b"], pair["queries"], pair["losses"]) == ("all", "few", 3, 1)
    assert pair["difference"] == pytest.approx(-1 / 3)
    for score, dot, parts in found["dots"]:
        assert dot == score
        assert parts == pytest.approx(score, abs=1e-9)
    assert found["sql"][0][0] == "bread"
    assert isinstance(found["sql"][0][2], str)
    assert found["permanent"] == ["sparse_dot"]
    assert "did you mean 'vector'" in found["refused"]


def test_a_job_at_a_server_without_delta_ends_with_5(found: dict[str, Any]) -> None:
    assert found["without_delta"] == 5
