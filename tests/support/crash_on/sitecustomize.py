"""Python imports this when it starts with this folder on its path: then a text ends the process that encodes it.

It does so as a fault in native code would, if the text holds the word in CRASH_ON. Spark's Python workers and the
processes that they start inherit both variables.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from support.when_imported import when_imported


def crash_on(word: str, module: ModuleType) -> None:
    """Make the encoder of `spladelake.encoder.encoder` end its process on every text that holds the word."""
    encode = module.SpladeEncoder.encode

    def encode_or_crash(encoder: Any, texts: Sequence[str | None], **options: Any) -> Any:
        if any(text is not None and word in text for text in texts):
            os.kill(os.getpid(), signal.SIGSEGV)
        return encode(encoder, texts, **options)

    module.SpladeEncoder.encode = encode_or_crash


when_imported("spladelake.encoder.encoder", lambda module: crash_on(os.environ["CRASH_ON"], module))
