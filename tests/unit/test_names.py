"""A model's short name is safe as a folder and a table name, whatever the user typed."""

import pytest

from spladelake.names import short_name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("rasyosef/splade-mini", "splade-mini"),
        ("naver/splade-v3-distilbert@refs/pr/1", "splade-v3-distilbert"),
        ("/models/my model/", "my-model"),
        ("./local", "local"),
        ("package:cognition/model", "cognition-model"),
        ("..", "model"),
        ("a/b;DROP TABLE", "b-DROP-TABLE"),
    ],
)
def test_short_name(typed: str, name: str) -> None:
    assert short_name(typed) == name
