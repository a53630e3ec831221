"""The pipeline files of training say what they claim: the published recipe, and figures on what was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spladelake.config import JOBS, TrainModel, checked, load_pipeline
from spladelake.errors import UsageError

CONF = Path(__file__).resolve().parents[3] / "conf"


def test_the_card_s_recipe_is_whole() -> None:
    steps = load_pipeline(str(CONF / "train-card.yaml")).options(place="train-card.yaml")
    (train,) = [options for name, options in steps if name == "train_model"]
    recipe: dict[str, Any] = {
        "loss": "margin-mse", "negatives": 2, "query_regularizer": 0.2, "document_regularizer": 0.12, "batch_size": 64,
        "learning_rate": 4e-5, "schedule": "cosine", "warmup": 0.025, "epochs": 4, "precision": "fp16",
        "best": "ndcg@10", "seed": 42,
    }  # fmt: skip
    assert train.model_dump(include=set(recipe)) == recipe
    # Without being told, a training differs from it in precision alone, which not every machine has.
    default = TrainModel(lake="l", output="o")
    assert {**default.model_dump(include=set(recipe)), "negatives": 2, "precision": "fp16"} == recipe


def test_what_the_debian_loop_reports_is_measured_on_queries_that_no_pair_is_made_of() -> None:
    steps = load_pipeline(str(CONF / "train-debian.yaml")).options(place="train-debian.yaml")
    parts = {options.model_dump()["part"] for name, options in steps if name == "evaluate_run"}
    assert parts == {"default/test"}
    (mine,) = [options.model_dump() for name, options in steps if name == "mine_pairs"]
    assert mine["test_share"] > 0
    assert [name for name, _ in steps][-1] == "compare_runs"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"batch_size": 10, "processes": 4},
            "--batch-size is 10, while --processes is 4 and --accumulate is 1; .*Set --batch-size to 8 or 12",
        ),
        ({"best": "ndcg_cut_10"}, "best"),
        ({"regularizer_warmup": 0}, "regularizer_warmup"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_settings_of_training_that_make_no_sense_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        checked(JOBS["train_model"].options, {"lake": "l", "output": "o", **given}, place="train_model")
