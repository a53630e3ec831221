"""Mermaid itself draws the picture of the README, in a headless browser."""

from __future__ import annotations

import html
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from spladelake.config import JOBS
from support.browser import rendered
from support.pages import blocks

# Draws the picture, or shows the error of Mermaid's parser.
PAGE = """<!DOCTYPE html><html><body><script src="{script}"></script><pre id="code">{code}</pre><script>
mermaid.render('drawn', document.getElementById('code').textContent).then(
  drawn => {{ document.body.innerHTML = drawn.svg; }}, error => {{ document.body.textContent = 'wrong: ' + error; }});
</script></body></html>"""


def picture() -> str:
    (block,) = [block for block in blocks("README") if block.language == "mermaid"]
    return block.code


def test_the_picture_names_jobs_that_are_there() -> None:
    named = {word.strip(",") for line in picture().splitlines() if "_" in line for word in line.split("|")[1:2]}
    words = {word.strip(",") for label in named for word in label.replace("<br>", " ").split() if "_" in word}
    assert len(words) >= 8
    assert words <= JOBS.keys()


@pytest.mark.slow
def test_mermaid_draws_the_picture_of_the_readme(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm here, which fetches Mermaid")
    fetched = subprocess.run(["npm", "pack", "mermaid@11", "--silent"], cwd=tmp_path, capture_output=True, text=True)
    if fetched.returncode != 0:
        pytest.skip(f"npm does not reach its registry: {fetched.stderr[-300:]}")
    with tarfile.open(tmp_path / fetched.stdout.split()[-1]) as archive:
        script = archive.extractfile("package/dist/mermaid.min.js")
        assert script is not None
        (tmp_path / "mermaid.js").write_bytes(script.read())
    drawn = rendered(PAGE.format(script="mermaid.js", code=html.escape(picture())), tmp_path)
    assert "wrong: " not in drawn
    assert drawn.count("<svg") == 1
    for job in ("ingest_texts", "encode_texts", "retrieve_run", "evaluate_run", "train_model"):
        assert job in drawn
