"""Secrets do not reach what is written down, and what is no secret stays readable."""

from __future__ import annotations

import pytest

from spladelake.redaction import hider, without_secrets

# Made up; long enough to be taken for what they stand for.
SECRET = "Zq7-not-a-real-one"


@pytest.mark.parametrize(
    "text",
    [
        f"s3a://user:{SECRET}@bucket/lake",
        f"https://host/x?sig={SECRET}&y=1",
        f"failed with spark.hadoop.fs.s3a.secret.key={SECRET}",
        f"password={SECRET}, then more",
        f"the value {SECRET} of a setting, quoted by somebody else's message",
    ],
)
def test_no_form_of_a_secret_is_kept(text: str) -> None:
    hide = hider([("spark.hadoop.fs.s3a.secret.key", SECRET), ("HOME", "/root")])
    assert SECRET not in hide(text)
    assert SECRET not in str(without_secrets({"a": [text], "b": {"c": text}}, hide))


def test_values_under_a_telling_key_go_and_all_others_stay() -> None:
    given = {
        "api_key": "abc",
        "hf_token": "x",
        "token_budget": 64,
        "split_special_tokens": True,
        "lake": "/data/lake",
        "access_key": None,
    }
    wanted = {**given, "api_key": "***", "hf_token": "***"}
    assert without_secrets(given, hider([])) == wanted


def test_short_values_are_not_cut_out_of_every_word() -> None:
    assert hider([("password", "a")])("a lake at /data") == "a lake at /data"
