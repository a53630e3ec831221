"""The module path of the Python daemon."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from spladelake.worker_start import without_copies

pyspark = pytest.importorskip("pyspark")
INSTALLED = Path(pyspark.__file__).parent
OWN = [str(INSTALLED / "python" / "lib" / name) for name in ("pyspark.zip", f"py4j-{version('py4j')}-src.zip")]


def test_the_zip_files_of_the_installed_pyspark_are_not_on_the_path_of_workers() -> None:
    rest = ["/work/folder", str(INSTALLED.parent)]

    assert all(Path(place).is_file() for place in OWN[1:]), "the file names of this pyspark are others"
    assert without_copies([*OWN, "/spark/jars/spark-core.jar", *rest]) == ["/spark/jars/spark-core.jar", *rest]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(["/opt/spark/python/lib/pyspark.zip", str(INSTALLED.parent)], id="pyspark of another Spark"),
        pytest.param(["/opt/spark/python/lib/py4j-0.1-src.zip", str(INSTALLED.parent)], id="py4j of another version"),
        pytest.param(["/jobs/code.zip", str(INSTALLED.parent)], id="a zip file of the user"),
        pytest.param(OWN, id="nothing else has the packages"),
    ],
)
def test_a_zip_file_stays_on_the_path_if_no_folder_has_the_same_package(path: list[str]) -> None:
    assert without_copies(path) == path
