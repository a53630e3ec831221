"""What a user may change about the vectors a checkpoint makes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spladelake.errors import UsageError


@dataclass(frozen=True)
class EncoderSettings:
    """Settings that change the vectors, and therefore the fingerprint `model_id`. None means what the checkpoint says.

    max_length: tokens of a text, special ones included; longer texts are cut.
    max_active_dims: the heaviest terms kept of a text; between equal weights the lower term id stays.
    minimum_weight: lighter terms are dropped.
    split_special_tokens: read a literal "[SEP]" in a text as plain text; False is what sentence-transformers does.
    query_prompt, document_prompt: put before every query or document.
    Raises UsageError when a value makes no sense.
    """

    max_length: int | None = None
    max_active_dims: int | None = None
    minimum_weight: float = 0.0
    split_special_tokens: bool = False
    query_prompt: str | None = None
    document_prompt: str | None = None

    def __post_init__(self) -> None:
        _whole_number("max_length", self.max_length)
        _whole_number("max_active_dims", self.max_active_dims)
        weight = self.minimum_weight
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise _wrong("minimum_weight", weight, "wanted a finite number of 0 or more", "Use 0 to keep every term.")
        if not isinstance(self.split_special_tokens, bool):
            raise _wrong(
                "split_special_tokens", self.split_special_tokens, "wanted True or False", "Use True or False."
            )
        for name in ("query_prompt", "document_prompt"):
            prompt = getattr(self, name)
            if prompt is not None and not isinstance(prompt, str):
                raise _wrong(name, prompt, "wanted a text", 'Use "" for no prompt.')


def _whole_number(name: str, value: object) -> None:
    """Raise UsageError unless value is None or an int from 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        fix = f"Leave out {name} to use the value of the checkpoint."
        raise _wrong(name, value, "wanted a whole number of 1 or more", fix)


def _wrong(name: str, value: object, wanted: str, fix: str) -> UsageError:
    return UsageError(f"encoder setting {name}", f"the value is {value!r}", wanted, fix)
