"""A model's short name is safe as a folder and a table name, whatever the user typed. Lists are English."""

import pytest

from spladelake.names import listed, short_name, some


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


@pytest.mark.parametrize(
    ("names", "last", "text"),
    [
        (("a", "b", "c"), "or", "a, b or c"),
        (("a", "b"), "and", "a and b"),
        (("a",), "or", "a"),
        ((), "or", "none"),
    ],
)
def test_a_list_has_its_conjunction_before_the_last_name(names: tuple[str, ...], last: str, text: str) -> None:
    assert listed(names, last) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [(("a",), "a"), (("a", "b", "c"), "a, b and c"), (("a", "b", "c", "d", "e"), "a, b, c and 2 more")],
)
def test_a_shortened_list_ends_with_the_number_of_the_others(names: tuple[str, ...], text: str) -> None:
    assert some(names, 3) == text
