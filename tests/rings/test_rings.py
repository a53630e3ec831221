"""The encoder needs no Spark, and the driver's half of it no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[2] / "lib"
BLOCK = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
"""


def run(code: str, *, blocked: tuple[str, ...]) -> str:
    """Output of a fresh interpreter in which some packages cannot be imported."""
    program = BLOCK.format(blocked=blocked) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(LIB)})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_encoder_works_without_pyspark():
    code = """
from spladelake.encoder import SpladeEncoder
print(SpladeEncoder.load("splade-tiny", threads=1).encode(["common law"]).tokens.tolist())
"""
    assert run(code, blocked=("pyspark", "py4j", "delta", "sentence_transformers")).splitlines()[-1] == "[4]"


def test_a_driver_resolves_a_checkpoint_without_torch_and_transformers():
    code = """
from pathlib import Path
from spladelake.encoder import Checkpoint, EncodedBatch, EncoderSettings, EncodeStats, resolve_checkpoint
from spladelake.encoder.tokens import vocabulary_tokens
checkpoint = resolve_checkpoint("splade-tiny")
print(checkpoint.short_name, vocabulary_tokens(Path(checkpoint.folder), checkpoint.vocabulary_size)[2375])
"""
    assert run(code, blocked=("pyspark", "torch", "transformers")) == "splade-tiny law"


@pytest.mark.parametrize(
    "module",
    [
        "spladelake.errors",
        "spladelake.vectors",
        "spladelake.compaction",
        "spladelake.exchange",
        "spladelake.survey.pipeline_file",
        "spladelake.packaging",
        "spladelake.forecast",
        "spladelake.commands.forecast",
    ],
)
def test_what_the_encoder_builds_on_needs_neither_torch_nor_pyspark(module):
    assert run(f"import {module}; print('ok')", blocked=("pyspark", "torch", "transformers")) == "ok"


def test_an_unknown_name_is_an_attribute_error():
    import spladelake.encoder

    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = spladelake.encoder.NoSuchName
