"""The demo shows the whole job on a smaller part of its collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

Command = Any


@pytest.mark.slow
def test_the_demo_measures_and_answers_its_questions_with_documents_scores_and_terms(
    spladelake: Command, tmp_path: Path
) -> None:
    done = spladelake("demo", "--documents", "60", "--lake", str(tmp_path / "lake"), env={"COLUMNS": "120"})
    assert done.code == 0, done.err
    assert "60 docstring bodies" in done.out
    for said in ("ndcg@10", "corpus_active_dims", "how do I copy a whole directory tree", "Done in"):
        assert said in done.out
    assert (tmp_path / "lake" / "vectors" / "splade-tiny" / "documents" / "_delta_log").is_dir()
