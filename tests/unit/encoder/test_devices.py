"""What runs on accelerators, exercised on the CPU as far as that goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from spladelake.encoder import SpladeEncoder, resolve_checkpoint, tuning
from spladelake.encoder.body import PaddedBody, UnpaddedBody
from spladelake.encoder.devices import choose_autocast, choose_device, is_out_of_memory, release_memory, unusable
from spladelake.encoder.head import Decoder, TiledHead
from spladelake.encoder.layout import read_layout
from spladelake.encoder.model import load_model
from spladelake.encoder.tokens import load_tokenizer
from spladelake.encoder.tuning import accelerator_head, fastest_head
from spladelake.encoder.weights.parts import model_parts
from spladelake.errors import UsageError
from spladelake.scoring import check_vectors
from support.families import TEXTS, bert, modernbert

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    """A small BERT without its decoder, the decoder, and token ids."""
    folder = bert(tmp_path_factory.mktemp("bert"))
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    linear = model.get_output_embeddings()
    decoder = Decoder(linear.weight.detach().clone(), linear.bias.detach().clone())
    parts = model_parts(model.config.to_dict(), model.state_dict())
    model.cls.predictions.decoder = torch.nn.Identity()
    tokenizer = load_tokenizer(folder, special=True, split_special_tokens=False, lower_case=False)
    return model, decoder, parts, tokenizer.encode(sorted(TEXTS, key=len, reverse=True), 48)[0]


def test_padded_and_unpadded_batches_give_the_same_hidden_states(model):
    padded, _, parts, ids = model
    torch.testing.assert_close(
        PaddedBody(padded, CPU, None).hidden(ids), UnpaddedBody(parts).hidden(ids), atol=2e-5, rtol=0
    )


def test_half_precision_changes_weights_by_its_own_rounding_only(model):
    padded, decoder, _, ids = model
    lengths = [len(of_text) for of_text in ids]
    exact = TiledHead(decoder, "max", "relu", tile=64).terms(PaddedBody(padded, CPU, None).hidden(ids), lengths)
    half = Decoder(decoder.weight.bfloat16(), decoder.bias.bfloat16())
    rounded = TiledHead(half, "max", "relu", tile=64).terms(
        PaddedBody(padded, CPU, torch.bfloat16).hidden(ids), lengths
    )
    assert rounded.values.dtype == np.float32
    check_vectors(rounded, vocabulary_size=len(decoder.weight), place="found")
    both = [np.zeros(len(decoder.weight)) for _ in range(2)]
    for dense, vectors in zip(both, (exact, rounded), strict=True):
        dense[vectors.row(0)[0]] = vectors.row(0)[1]
    # bfloat16 keeps 8 bits: weights near 1 move by some 2**-8 in each of a dozen layers' worth of products.
    assert 0 < np.abs(both[0] - both[1]).max() < 0.1


def test_precision_follows_the_device():
    assert choose_autocast(CPU, "auto") is None
    assert choose_autocast(CUDA, "auto") is torch.float16
    assert choose_autocast(CUDA, "float32") is None
    assert choose_autocast(CUDA, "bfloat16") is torch.bfloat16
    assert choose_autocast(torch.device("mps"), "auto") is None
    with pytest.raises(UsageError, match="precision"):
        choose_autocast(CPU, "float16")
    with pytest.raises(UsageError, match="precision"):
        choose_autocast(CUDA, "int3")


def test_the_best_device_of_the_machine_is_chosen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device(None) == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device(None) == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(None) == CUDA


@pytest.mark.parametrize(
    ("name", "present", "gpus", "said"),
    [
        ("cuda", [], 0, "wanted a device of this machine. Use cpu."),
        ("mps", ["cuda"], 2, "wanted a device of this machine. Use cuda or cpu."),
        ("cuda:2", ["cuda"], 2, "wanted cuda:0 or cuda:1. Use cuda or cpu."),
        (
            "cuda:0",
            ["cuda"],
            2,
            "wanted a device that is free. Free the device, choose another such as cuda:1, or use cpu.",
        ),
        ("cuda", ["cuda"], 1, "wanted a device that is free. Free the device, or use cpu."),
        ("mps", ["mps"], 0, "wanted a device that is free. Free the device, or use cpu."),
    ],
)
def test_a_device_that_cannot_be_used_is_refused_by_its_cause(name, present, gpus, said):
    refused = unusable(name, "CUDA error: out of memory\nmore", present=present, gpus=gpus)
    assert str(refused) == f"device {name}: the device cannot be used (CUDA error: out of memory); {said}"


def test_lack_of_memory_is_told_from_other_failures():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
    release_memory()


def test_no_tokens_by_vocabulary_matrix_is_ever_held():
    checkpoint = resolve_checkpoint("splade-tiny")
    folder = Path(checkpoint.folder)
    loaded = load_model(folder, read_layout(folder), CPU, autocast=None, token_budget=1024)
    ids = [np.full(512, 2088, dtype=np.int32)] * 2
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        loaded.head.terms(loaded.body.hidden(ids), [512, 512])
    largest = max(event.cpu_memory_usage for event in profile.events())
    tokens_by_vocabulary = 1024 * 30522 * 4
    assert largest < tokens_by_vocabulary / 20


def test_screening_is_used_only_where_8_bit_products_are_exact(monkeypatch):
    decoder = Decoder(torch.randn(3000, 64), torch.zeros(3000))
    saturating = torch._int_mm
    by_products = {how: make for how, make in tuning.SCREENS.items() if "fused" not in how}
    assert len(by_products) == len(tuning.TILE_SIZES)
    monkeypatch.setattr(tuning, "SCREENS", by_products)
    monkeypatch.setattr(tuning, "_exact_integers", tuning._exact_integers.__wrapped__)
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: saturating(a, b).clamp(-(2**15), 2**15 - 1))
    head, how = fastest_head(decoder, "max", "relu", token_budget=1024)
    assert isinstance(head, TiledHead)
    assert "8-bit" not in how
    monkeypatch.delattr(torch, "_int_mm")
    assert isinstance(fastest_head(decoder, "max", "relu", token_budget=1024)[0], TiledHead)


def test_summed_weights_are_never_screened():
    head, _ = fastest_head(Decoder(torch.randn(3000, 64), torch.zeros(3000)), "sum", "relu", token_budget=1024)
    assert isinstance(head, TiledHead)


def test_modernbert_runs_without_unpadding(tmp_path):
    assert SpladeEncoder.load(str(modernbert(tmp_path)), device="cpu").method.startswith("padded")


def test_a_gpu_kernel_that_cannot_be_compiled_or_disagrees_is_not_used(monkeypatch, caplog):
    triton_head = pytest.importorskip("spladelake.encoder.triton_head")
    decoder = Decoder(torch.randn(300, 32), torch.zeros(300))
    tiled = TiledHead(decoder, "max", "relu", tile=128)
    assert accelerator_head(tiled, decoder, "max", "relu")[0] is tiled  # there is no GPU to compile for
    monkeypatch.setattr(triton_head.TritonHead, "largest", lambda self, hidden, lengths: torch.zeros(len(lengths), 300))
    assert accelerator_head(tiled, decoder, "max", "relu")[0] is tiled
    assert "other logits" in caplog.text


def test_the_gpu_kernel_is_used_when_it_agrees_and_is_faster(monkeypatch):
    triton_head = pytest.importorskip("spladelake.encoder.triton_head")
    decoder = Decoder(torch.randn(300, 32), torch.zeros(300))
    tiled = TiledHead(decoder, "max", "relu", tile=128)
    answer: list[torch.Tensor] = []

    def remembered(self, hidden, lengths):
        if not answer:
            answer.append(TiledHead.largest(tiled, hidden, lengths))
        return answer[0]

    monkeypatch.setattr(triton_head.TritonHead, "largest", remembered)
    head, how = accelerator_head(tiled, decoder, "max", "relu")
    assert isinstance(head, triton_head.TritonHead)
    assert "fused" in how
    assert accelerator_head(tiled, decoder, "sum", "relu")[0] is tiled
