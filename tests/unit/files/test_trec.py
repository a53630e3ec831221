"""TREC files are read as trec_eval reads them, and written so that every reader gets the same rows."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from spladelake.errors import DataError
from spladelake.files import Rejected, read_judgements, read_run, trec_run_row, write_run

ROWS = [("bm25", "q1", "d2", 1, 0.1 + 0.2), ("bm25", "q1", "d1", 2, -1e-300), ("bm25", "q2", "dé", 1, 3.0)]


def test_a_written_run_reads_back_equal_here_and_in_pytrec_eval(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    assert write_run(path, ROWS) == 3
    assert list(read_run(path)) == ROWS
    assert path.read_text().splitlines()[0] == "q1 Q0 d2 1 0.30000000000000004 bm25"
    assert pytrec_eval.parse_run(io.StringIO(path.read_text())) == {
        "q1": {"d2": 0.1 + 0.2, "d1": -1e-300},
        "q2": {"dé": 3.0},
    }


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_score_survives_writing_to_the_last_bit(score: float) -> None:
    line = f"q Q0 d 1 {score!r} run".encode()
    assert trec_run_row(line) == ("run", "q", "d", 1, score)


@pytest.mark.parametrize("bad_id", ["", "d 1", "d\t1", "d1\n", " d1", "d\xa01", "d\x851"])
def test_an_id_that_would_shift_the_columns_is_refused_and_no_file_is_left(tmp_path: Path, bad_id: str) -> None:
    for row in [("run", "q1", bad_id, 1, 1.0), ("run", bad_id, "d1", 1, 1.0), (bad_id, "q1", "d1", 1, 1.0)]:
        with pytest.raises(DataError, match=rf"run\.trec line 4: .*{'white space' if bad_id else 'is empty'}"):
            write_run(tmp_path / "run.trec", [*ROWS, row])
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path: Path, score: float) -> None:
    path = tmp_path / "run.trec"
    write_run(path, ROWS)
    with pytest.raises(DataError, match="finite"):
        write_run(path, [("run", "q1", "d1", 1, score)])
    assert list(read_run(path)) == ROWS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"q1 Q0 d1 1 2.5", "the line has 5 columns; wanted six: query_id, Q0, doc_id, rank, score and run_id"),
        (b"q1 Q0 d1 first 2.5 run", "rank is 'first'; it must be an integer"),
        (b"q1 Q0 d1 1 nan run", "score is 'nan'; it must be a finite number"),
        (b"q1 Q0 d1 1 high run", "score is 'high'; it must be a finite number"),
        (b"q1 Q0 d1 1 1_0 run", "score is '1_0'; it must be a finite number"),
    ],
)
def test_a_bad_run_line_says_why(line: bytes, reason: str) -> None:
    assert trec_run_row(line) == Rejected(reason)


def test_reading_stops_at_a_bad_line_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_bytes(b"q1 0 d1 1\n\nq1 0 d2 yes\n")
    with pytest.raises(DataError, match=r"qrels\.txt line 3: relevance is 'yes'; it must be an integer"):
        list(read_judgements(path))
    with pytest.raises(DataError, match="cannot be opened"):
        list(read_run(tmp_path / "absent"))


def test_judgements_are_read_in_either_form(tmp_path: Path) -> None:
    for text in ("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n", "q1 0 d1 2\r\nq1 0 d2 0"):
        (tmp_path / "qrels").write_text(text, newline="")
        assert list(read_judgements(tmp_path / "qrels")) == [("q1", "d1", 2), ("q1", "d2", 0)]
