"""Settings refuse nonsense when they are made."""

from __future__ import annotations

import math

import pytest

from spladelake.encoder import EncoderSettings
from spladelake.errors import UsageError


@pytest.mark.parametrize(
    "nonsense",
    [
        {"max_length": 0},
        {"max_length": -1},
        {"max_length": 1.5},
        {"max_length": True},
        {"max_active_dims": 0},
        {"max_active_dims": "many"},
        {"minimum_weight": -0.1},
        {"minimum_weight": math.nan},
        {"minimum_weight": math.inf},
        {"minimum_weight": "0"},
        {"split_special_tokens": "yes"},
        {"query_prompt": 1},
        {"document_prompt": b"passage: "},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(nonsense):
    (name,) = nonsense
    with pytest.raises(UsageError, match=f"encoder setting {name}: the value is "):
        EncoderSettings(**nonsense)


def test_settings_can_be_compared_and_hashed():
    assert len({EncoderSettings(), EncoderSettings(), EncoderSettings(max_length=5)}) == 2
