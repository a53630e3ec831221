"""The kernel for GPUs, run by Triton's interpreter, which has to be asked for before Triton is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[2] / "lib"


@pytest.mark.slow
def test_the_gpu_kernel_finds_the_maxima_of_the_tiled_head():
    pytest.importorskip("triton")
    code = """
import torch
from spladelake.encoder.head import Decoder, TiledHead
from spladelake.encoder.triton_head import TritonHead
from spladelake.encoder.tuning import accelerator_head
torch.manual_seed(0)
for lengths, width, vocabulary in (([70, 33, 1, 64, 65], 40, 300), ([5], 16, 16), ([200, 2], 96, 130)):
    hidden, decoder = torch.randn(sum(lengths), width), Decoder(torch.randn(vocabulary, width), torch.randn(vocabulary))
    heads = [kind(decoder, "max", "relu", tile=128) for kind in (TritonHead, TiledHead)]
    torch.testing.assert_close(*(head.largest(hidden, lengths) for head in heads), atol=1e-5, rtol=1e-5)
    ours, theirs = (head.terms(hidden, lengths) for head in heads)
    assert ours.indices.tolist() == theirs.indices.tolist()
head, how = accelerator_head(heads[1], decoder, "max", "relu")
assert "at once" in how or "fused" in how
"""
    environment = {"PYTHONPATH": str(LIB), "TRITON_INTERPRET": "1", "HOME": "/tmp"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
