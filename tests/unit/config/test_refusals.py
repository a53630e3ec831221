"""A refused value is explained in this project's words, whatever the option and the value."""

from __future__ import annotations

import re
from typing import Any

import pytest

from spladelake.config import JOBS, checked
from spladelake.config.forecast import Forecast
from spladelake.errors import UsageError

MODELS = [*(job.options for job in JOBS.values()), Forecast]
# Values of every kind that a command line or a yaml file can hold.
VALUES: list[Any] = [
    "", "Ärger", "-1", "0", "0.5", "1e400", "nan", "99999999999999999999", "[", "{a: 1}", "2026-02-30", -1, 0, 1.5,
    True, float("inf"), [], ["x"], [None], {}, {"a": 1}, {"a": {"k": "x"}}, b"\xff",
]  # fmt: skip
# Words of pydantic, which a user has not heard of.
FOREIGN = re.compile(
    r"input should|value error|valid (?:integer|number|string|boolean|tuple|dictionary)|unable to", re.I
)


def refusal(model: Any, values: dict[str, Any]) -> str:
    """The message about the values; empty if they are taken."""
    try:
        checked(model, values, place="job")
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_value_is_refused_in_words_of_the_library_that_checks_it(model: Any) -> None:
    said = {(name, repr(value)): refusal(model, {name: value}) for name in model.model_fields for value in VALUES}
    assert {key: text for key, text in said.items() if FOREIGN.search(text)} == {}
    assert {key: text for key, text in said.items() if "as the help page describes it" in text} == {}
    assert sum(map(bool, said.values())) > len(model.model_fields)


@pytest.mark.parametrize(
    ("job", "given", "message"),
    [
        ("retrieve_run", {"k": "Zehn"}, "job: k: the value is 'Zehn'; wanted a whole number. Correct the value."),
        ("retrieve_run", {"k": 0}, "job: k: the value is 0; wanted 1 or more. Correct the value."),
        ("retrieve_run", {"strategy": "Fast"}, "job: strategy: the value is 'Fast'; wanted one of 'auto', 'driver', "),
        ("evaluate_run", {"part": "Test"}, "job: part: the value is 'Test'; wanted SET/train, SET/dev or SET/test."),
        ("train_model", {"output": "o", "best": "NDCG"}, "job: best: the value is 'NDCG'; wanted accuracy@1, "),
        ("encode_texts", {"run_date": "2026-02-30"}, "job: run_date: there is no day 2026-02-30; wanted a day of the "),
        ("encode_texts", {"b": 1.5}, "job: b: the value is 1.5; wanted 1 or less. Correct the value."),
        ("retrieve_run", {"also": "{s: 2026-02-30}"}, "job: also: the value '{s: 2026-02-30}' is not valid YAML ('2"),
        ("retrieve_run", {"also": "{s: {k: 1}"}, "job: also: the value '{s: {k: 1}' is not valid YAML (expected"),
        ("retrieve_run", {"also": "{s: {k: 1}, s: {k: 2}}"}, "job: also: the value '{s: {k: 1}, s: {k: 2}}' is not "
         "valid YAML (the key 's' occurs twice, on line 1); wanted keys and values"),
        ("score_pairs", {"teachers": ""}, "job: teachers: the list is empty; wanted 1 or more values. Add a value."),
        ("compact_vectors", {"target": "more"}, "job: target: the value is 'more'; wanted MEASURE >= SHARE of"),
        ("fuse_runs", {"runs": "one"}, "job: --runs is one; wanted two or more different runs. Name at least two runs"),
    ],
)  # fmt: skip
def test_a_message_keeps_what_the_user_typed_and_names_what_is_wanted(
    job: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        checked(JOBS[job].options, {"lake": "l", **given}, place="job")
    assert str(raised.value).startswith(message)
