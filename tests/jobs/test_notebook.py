"""The notebook that comes with the package runs from its first cell to its last, and draws its plots."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

PLOTS = 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quickstart_runs_whole_and_draws_its_plots(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the notebook needs the extra notebook")
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs the extra notebook")
    pytest.importorskip("ipykernel", reason="the notebook needs the extra notebook")
    source = files("spladelake").joinpath("docs", "quickstart.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(source, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises the error of a cell
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PLOTS
    shown = "".join(output.get("text", "") for output in outputs)
    for piece in ("asyncio", "nDCG@10", "Judged@10", "randomisation_p", "score"):
        assert piece in shown
