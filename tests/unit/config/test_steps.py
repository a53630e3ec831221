"""A pipeline file may run a step more than once, and --set reaches each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spladelake.config import EncodeTexts, Pipeline, load_pipeline
from spladelake.errors import UsageError

LIST = """
lake: l
model: first
steps:
  - encode_texts
  - encode_texts: {model: second, side: queries}
  - retrieve_run:
  - retrieve_run: {k: 7, lake: other}
"""


def write(folder: Path, text: str) -> str:
    file = folder / "p.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def loaded(folder: Path, text: str = LIST, **overrides: str) -> Pipeline:
    return load_pipeline(write(folder, text), overrides={key.replace("__", "."): v for key, v in overrides.items()})


def values(pipeline: Pipeline, key: str) -> list[object]:
    return [getattr(options, key, None) for _, options in pipeline.options(place="p")]


def test_a_list_runs_a_step_twice_with_its_own_options_in_order(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert pipeline.labels == ["encode_texts[1]", "encode_texts[2]", "retrieve_run[1]", "retrieve_run[2]"]
    assert values(pipeline, "model") == ["first", "second", "first", "first"]
    assert values(pipeline, "lake") == ["l", "l", "l", "other"]
    second = pipeline.options(place="p")[1][1]
    assert isinstance(second, EncodeTexts)
    assert second.side == "queries"


def test_a_mapping_says_the_same_as_a_list_of_single_steps(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, "lake: l\nsteps: {encode_texts: , retrieve_run: {k: 3}}\n")
    listed = loaded(tmp_path, "lake: l\nsteps: [encode_texts, {retrieve_run: {k: 3}}]\n")
    assert mapping.options(place="p") == listed.options(place="p")
    assert mapping.labels == ["encode_texts", "retrieve_run"]


def test_set_reaches_every_step_of_a_name_or_the_one_with_the_number(tmp_path: Path) -> None:
    file = write(tmp_path, LIST)
    assert values(load_pipeline(file, overrides={"steps.retrieve_run.k": "9"}), "k") == [None, None, 9, 9]
    assert values(load_pipeline(file, overrides={"steps.retrieve_run[1].k": "9"}), "k") == [None, None, 9, 7]
    assert values(load_pipeline(file, overrides={"model": "third"}), "model") == ["third", "second", "third", "third"]


@pytest.mark.parametrize("address", ["retrieve_run[3]", "retrieve_run[0]", "evaluate_run", "retrieve run"])
def test_set_of_a_step_that_is_not_there_is_refused_with_the_steps_that_are(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match=r"no such step.*encode_texts\[1\], encode_texts\[2\], retrieve_run\[1\]"):
        load_pipeline(write(tmp_path, LIST), overrides={f"steps.{address}.k": "9"})


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("encode_texts", "the value is 'encode_texts'"),
        (
            "[{encode_texts: , retrieve_run: }]",
            "entry 1 has 2 names, encode_texts and retrieve_run; wanted one step in each entry",
        ),
        ("[encode_texts, 3]", "entry 2 is 3; wanted the name of a step"),
        ("[{retrieve_run: 3}]", "the step retrieve_run has the value 3 in place of its options"),
    ],
)
def test_other_forms_of_steps_are_refused_naming_the_entry(tmp_path: Path, steps: str, found: str) -> None:
    with pytest.raises(UsageError, match=found):
        loaded(tmp_path, f"lake: l\nsteps: {steps}\n")


def test_a_value_of_set_that_is_not_yaml_is_refused_with_yamls_own_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not valid YAML \(expected ',' or ']'.*\); wanted one YAML value"):
        load_pipeline(write(tmp_path, LIST), overrides={"steps.retrieve_run.k": "[a, b"})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model.name", "--set model.name: model is a single value, so it cannot have the key name; wanted a key of a "),
        ("steps.retrieve_run[2].k.n", "--set steps.retrieve_run[2].k.n: steps.retrieve_run[2].k is a single value, so"),
        ("steps.retrieve_run", "--set steps.retrieve_run: the key names no option of the step; wanted steps.STEP.OPT"),
    ],
)
def test_a_key_of_set_without_a_place_is_refused_by_its_whole_name(tmp_path: Path, key: str, message: str) -> None:
    with pytest.raises(UsageError, match="^" + re.escape(message)):
        load_pipeline(write(tmp_path, LIST), overrides={key: "9"})


@pytest.mark.parametrize("value", ["2026-02-30", "2026-01-01 25:00:00", "0x_", "!!int abc", "!!bool x"])
def test_a_value_that_looks_like_a_date_or_number_but_is_none_is_refused_in_words_of_yaml(
    tmp_path: Path, value: str
) -> None:
    kind = {"!!bool x": "does not fit its tag"}.get(value, "is not a possible (date|number)")
    said = f"'{value.removeprefix('!!int ').removeprefix('!!bool ')}' {kind}"
    with pytest.raises(UsageError, match=f"not valid YAML .{said}"):
        load_pipeline(write(tmp_path, LIST), overrides={"steps.retrieve_run.k": value})
    with pytest.raises(UsageError, match=f"does not parse .line 2, column 8: {said}"):
        loaded(tmp_path, f"lake: l\nmodel: {value}\n")


def test_a_file_in_another_encoding_is_refused_by_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes("lake: é\n".encode("latin-1"))
    with pytest.raises(UsageError, match="the file is not UTF-8; wanted text in UTF-8"):
        load_pipeline(str(tmp_path / "p.yaml"))


def test_a_wrong_option_of_a_repeated_step_is_named_with_its_number(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path, "lake: l\nsteps: [retrieve_run, {retrieve_run: {k: none}}]\n")
    with pytest.raises(UsageError, match=r"steps.retrieve_run\[2\]: k: the value is 'none'"):
        pipeline.options(place="p")


@pytest.mark.parametrize("name", ["card.yaml", "card-local.yaml"])
def test_every_run_of_the_cards_is_made_then_measured_in_the_lake_where_it_is_compared(name: str) -> None:
    file = Path(__file__).resolve().parents[3] / "conf" / name
    pipeline = load_pipeline(str(file))
    made: dict[str, set[str]] = {}
    measured: dict[str, set[str]] = {}
    for step, options in pipeline.steps:
        lake = str(options.get("lake", pipeline.lake))
        if step in ("retrieve_run", "fuse_runs", "rerank_run") or (step == "import_run" and "ranking" in options):
            model = str(options.get("model", pipeline.model)).rsplit("/", 1)[-1]
            made.setdefault(lake, set()).add(options.get("ranking", model))
        elif step == "import_run":
            made.setdefault(lake, set()).update(made[options["run"].removesuffix("/runs")])  # all runs of that lake
        elif step == "evaluate_run":
            assert options["ranking"] in made[lake], (lake, options)
            measured.setdefault(lake, set()).add(options["ranking"])
    (comparison,) = [options for step, options in pipeline.steps if step == "compare_runs"]
    assert measured == made
    assert set(comparison["collections"].values()) == set(measured)
    for collection, published in comparison.get("published", {}).items():
        assert set(published) <= measured[comparison["collections"][collection]], collection
