"""The settings with which a user can change the vectors of a checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spladelake.errors import UsageError


@dataclass(frozen=True)
class EncoderSettings:
    """Settings that change the vectors, and therefore the fingerprint `model_id`. None: the checkpoint's own value.

    - max_length: most tokens of a text, special tokens included; longer texts are cut.
    - max_active_dims: keep this many terms of a text, the heaviest; of equal weights the lower term id.
    - minimum_weight: drop terms below this weight.
    - split_special_tokens: read a literal "[SEP]" in a text as plain text. sentence-transformers does not.
    - query_prompt, document_prompt: text that stands before every query or document.

    Raises UsageError if a value is not possible.
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
    """Raise UsageError unless the value is None or an int of 1 or more."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        wanted, fix = "wanted a whole number of 1 or more", f"Leave out {name} to use the value of the checkpoint."
        if isinstance(value, float) and value.is_integer() and 1 <= value < 2**53:
            wanted, fix = "wanted an int, not a float", f"Use {int(value)}."
        raise _wrong(name, value, wanted, fix)


def _wrong(name: str, value: object, wanted: str, fix: str) -> UsageError:
    return UsageError(f"encoder setting {name}", f"the value is {value!r}", wanted, fix)
