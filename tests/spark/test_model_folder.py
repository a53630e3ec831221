"""Nothing that somebody may still want is removed with the folders of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spladelake.errors import UsageError
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.train.model_folder import MADE_FROM, made_from, publish_model, remove_published_work, work_folder

NOWHERE = Path("/models/start")


def lineage(*, documents: int = 1, pairs: str = "as mined", **settings: Any) -> Lineage:
    return Lineage("train_model", {"pairs": ["pairs", pairs], "documents": ["documents", documents]}, settings)


def write(file: Path, text: str = "weights") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_model_takes_the_place_of_another_and_leaves_folders_beside_it_alone(tmp_path: Path) -> None:
    output, mine = tmp_path / "model", write(tmp_path / "model.old" / "notes")
    for number in ("first", "second"):
        work = work_folder(output, lineage(), start=NOWHERE, force=False)
        write(work / "model" / "weights", number)
        publish_model(work, output)
        assert (output / "weights").read_text(encoding="utf-8") == number
    assert mine.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.old"]


def test_a_model_whose_successor_was_killed_on_its_way_comes_back_before_its_folder_goes(tmp_path: Path) -> None:
    output = tmp_path / "model"
    work = work_folder(output, lineage(), start=NOWHERE, force=False)
    write(work / "previous" / "weights")
    work_folder(output, lineage(), start=NOWHERE, force=True)
    assert (output / "weights").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_training_from_a_checkpoint_of_its_own_work_folder_is_refused_and_the_checkpoint_stays(
    tmp_path: Path, force: bool
) -> None:
    output = tmp_path / "model"
    checkpoint = write(tmp_path / "model.work" / "checkpoints" / "checkpoint-2" / "weights").parent
    with pytest.raises(UsageError, match="Choose another --output"):
        work_folder(output, lineage(), start=checkpoint, force=force)
    assert (checkpoint / "weights").exists()
    assert work_folder(tmp_path / "other", lineage(), start=checkpoint, force=force) == tmp_path / "other.work"


def begun(output: Path) -> Path:
    """The work folder of a training that was killed after its first checkpoint."""
    work = work_folder(output, lineage(), start=NOWHERE, force=False)
    write(work / "data" / "counts.json", "{}")
    write(work / "checkpoints" / "checkpoint-2" / "complete")
    return work


def test_a_killed_training_goes_on_though_documents_came_but_not_with_other_pairs_or_settings(tmp_path: Path) -> None:
    output = tmp_path / "model"
    work = begun(output)
    assert work_folder(output, lineage(documents=2), start=NOWHERE, force=False) == work
    assert (work / "checkpoints" / "checkpoint-2" / "complete").exists()
    assert (made_from(work) or {})["inputs"]["documents"] == ["documents", 1], "what its data were made from"
    for other in (lineage(pairs="others"), lineage(epochs=9)):
        with pytest.raises(UsageError, match="another training, with other data or settings"):
            work_folder(output, other, start=NOWHERE, force=False)


def test_data_that_were_not_written_whole_are_made_from_the_tables_as_they_are(tmp_path: Path) -> None:
    output = tmp_path / "model"
    work = begun(output)
    (work / "data" / "counts.json").unlink()
    with pytest.raises(UsageError, match="another training, with other data or settings"):
        work_folder(output, lineage(documents=2), start=NOWHERE, force=False)
    (work / "checkpoints" / "checkpoint-2" / "complete").unlink()
    (work / "checkpoints" / "checkpoint-2").rmdir()
    work_folder(output, lineage(documents=2), start=NOWHERE, force=False)
    assert (made_from(work) or {})["inputs"]["documents"] == ["documents", 2]
    assert not (work / "data").exists()


def test_a_work_folder_goes_once_its_model_is_published_and_stays_while_it_is_another_training(tmp_path: Path) -> None:
    output = tmp_path / "model"
    work = begun(output)
    remove_published_work(output)
    assert work.exists(), "there is no model yet"
    write(output / MADE_FROM, lineage(epochs=9).as_json())
    remove_published_work(output)
    assert work.exists(), "the model is of another training"
    write(output / MADE_FROM, lineage().as_json())
    remove_published_work(output)
    assert not work.exists()
