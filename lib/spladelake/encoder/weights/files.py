"""Find the weight files of a checkpoint, and check that they are complete and hold an MLM head.

This reads only headers, with the standard library: no torch, no unpickling.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from spladelake.encoder.saved.values import read_json
from spladelake.errors import UsageError
from spladelake.names import listed, some

SINGLE_FILE = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
# The safetensors library refuses larger headers too.
LARGEST_HEADER_BYTES = 100_000_000
# Bits of an element, by the type of the stored weights.
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}

# Patterns of the tensors of each family's MLM head. transformers would fill a missing tensor with random numbers. The
# decoder is in `DECODERS`, because most checkpoints tie it to the word embeddings.
HEADS: dict[str, tuple[str, ...]] = {
    "bert": (r"cls\.predictions\.transform\.dense\.weight", r"cls\.predictions\.(decoder\.)?bias"),
    "roberta": (r"lm_head\.dense\.weight", r"lm_head\.layer_norm\.weight", r"lm_head\.(decoder\.)?bias"),
    "distilbert": (r"vocab_transform\.weight", r"vocab_layer_norm\.weight", r"vocab_projector\.bias"),
    "modernbert": (r"head\.dense\.weight", r"head\.norm\.weight"),
    "electra": (r"generator_predictions\.dense\.weight", r"generator_lm_head\.bias"),
    "mpnet": (r"lm_head\.dense\.weight", r"lm_head\.(decoder\.)?bias"),
}
HEADS |= dict.fromkeys(("xlm-roberta", "camembert", "roberta-prelayernorm"), HEADS["roberta"])
# Prefixes that torch.compile, DataParallel and FSDP put before the names of tensors.
WRAPPERS = re.compile(r"^module\.|(^|\.)(_orig_mod|_fsdp_wrapped_module|_forward_module)\.")
EMBEDDINGS = r".*(word_embeddings|embed_tokens|tok_embeddings)\.weight"
DECODERS: dict[str, str] = {
    "bert": r"cls\.predictions\.decoder\.weight",
    "roberta": r"lm_head\.decoder\.weight",
    "distilbert": r"vocab_projector\.weight",
    "modernbert": r"decoder\.weight",
    "electra": r"generator_lm_head\.weight",
    "mpnet": r"lm_head\.decoder\.weight",
}
DECODERS |= dict.fromkeys(("xlm-roberta", "camembert", "roberta-prelayernorm"), DECODERS["roberta"])


def weight_files(folder: Path) -> list[str]:
    """Return the names of the safetensors files of a model folder, and of their index if there are several files.

    Raises UsageError if there are none, or if the weights are only in pickles.
    """
    if (folder / SINGLE_FILE).is_file():
        return [SINGLE_FILE]
    if (folder / SHARD_INDEX).is_file():
        return [SHARD_INDEX, *_shards(folder)]
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise UsageError(
            str(folder),
            f"the weights are stored only as pickles ({', '.join(pickles)})",
            "wanted safetensors, because a pickle can run any program on this machine",
            "Convert the weights once, on an isolated machine, with save_pretrained(folder, safe_serialization=True).",
        )
    raise UsageError(
        str(folder),
        f"the folder has no {SINGLE_FILE}",
        "wanted the weights as safetensors",
        "Copy the whole checkpoint, weights included.",
    )


def _shards(folder: Path) -> list[str]:
    """Return the files that the index names. Raises UsageError if a file, or a tensor in it, is missing."""
    path = folder / SHARD_INDEX
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise UsageError(
            str(path),
            "the file has no weight_map from tensor names to file names",
            "wanted a weight_map that names the file of each tensor",
            "Copy the checkpoint again.",
        )
    shards = sorted(set(places.values()))
    missing = [shard for shard in shards if Path(shard).name != shard or not (folder / shard).is_file()]
    if missing:
        raise UsageError(
            str(path),
            f"the index lists {some(missing)}, but the folder does not have them",
            f"wanted all {len(shards)} files that the index lists",
            "Copy the checkpoint again.",
        )
    held = {shard: tensor_names(folder / shard) for shard in shards if shard.endswith(".safetensors")}
    absent = [name for name, shard in places.items() if name not in held.get(shard, ())]
    if absent:
        raise UsageError(
            str(folder / places[absent[0]]),
            f"the file has no tensor {absent[0]}",
            f"wanted the tensors that {SHARD_INDEX} lists for this file",
            "Copy the checkpoint again.",
        )
    return shards


@dataclass(frozen=True)
class TensorHeader:
    """The header of a tensor.

    - dtype: type of the elements, as safetensors names it.
    - file: name of the file.
    """

    shape: tuple[int, ...]
    dtype: str
    file: str

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


def tensor_names(path: Path) -> set[str]:
    """Return the names of the tensors in a safetensors file; see `tensor_headers`."""
    return set(tensor_headers(path))


def tensor_headers(path: Path) -> dict[str, TensorHeader]:
    """Return the headers of the tensors in a safetensors file, by name.

    Raises UsageError if the header cannot be read, if the file is shorter or longer than its header says, or if a
    tensor's shape does not fit its place in the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LARGEST_HEADER_BYTES + 1
        if length > min(size - 8, LARGEST_HEADER_BYTES):
            raise _damaged(path, "the first eight bytes do not give the length of a header")
        text = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}
        headers = {name: _header(entry, path.name) for name, entry in entries.items()}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        odd = [name for name, entry in entries.items() if not _consistent(headers[name], *entry["data_offsets"])]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"the header cannot be read ({type(error).__name__}: {error})") from error
    if size != 8 + length + end:
        raise _damaged(path, f"the file has {size:,} bytes, but the header announces {8 + length + end:,}")
    if odd:
        header = headers[odd[0]]
        raise _damaged(
            path,
            f"the number of bytes of the tensor {odd[0]} does not fit its shape {list(header.shape)} and its type "
            f"{header.dtype}",
        )
    return headers


def folder_headers(folder: Path) -> dict[str, TensorHeader]:
    """Return the headers of all tensors of a model folder, by their present names; errors as in `tensor_headers`."""
    files = [name for name in weight_files(folder) if name.endswith(".safetensors")]
    headers = {name: header for file in files for name, header in tensor_headers(folder / file).items()}
    return {modern_name(name): header for name, header in headers.items()}


def modern_name(name: str) -> str:
    """Return the present name of a tensor. transformers renames gamma and beta in BERT's first checkpoints."""
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))


def _header(entry: dict[str, Any], file: str) -> TensorHeader:
    shape = tuple(entry["shape"])
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"a tensor has the shape {shape}")
    return TensorHeader(shape, str(entry["dtype"]), file)


def _consistent(header: TensorHeader, start: int, end: int) -> bool:
    """Return whether a tensor has the number of bytes of its shape and type. An unknown type passes."""
    bits = BITS.get(header.dtype)
    return 0 <= start <= end and (bits is None or header.size * bits == (end - start) * 8)


def check_names(place: Path, names: Iterable[str]) -> None:
    """Raise UsageError if the names of tensors begin with the prefix of a wrapper of training.

    transformers does not know such names and would fill the whole model with random numbers.
    """
    for name in sorted(names):
        wrapper = WRAPPERS.search(name)
        if wrapper:
            raise UsageError(
                str(place),
                f"the tensor name {name} has the part {wrapper[0].strip('.')}, which {_wrapped_by(wrapper[0])} adds",
                "wanted names that transformers knows, because it fills missing tensors with random numbers",
                f"Save the model itself, not the result of {_wrapped_by(wrapper[0])}.",
            )


def _wrapped_by(wrapper: str) -> str:
    return "torch.compile" if "_orig_mod" in wrapper else "a wrapper for several devices"


def check_head_weights(place: Path, model_type: str, names: Iterable[str], *, tied: bool) -> None:
    """Raise UsageError if tensors of the MLM head are missing, which transformers would fill with random numbers.

    A family that is not in `HEADS` passes. The loader then refuses any tensor that no file fills.

    - tied: whether the decoder may share the word embeddings.
    """
    if model_type not in HEADS:
        return
    names = list(names)
    decoder = rf"({DECODERS[model_type]}|{EMBEDDINGS})" if tied else DECODERS[model_type]
    said = {pattern: pattern.replace(r"(decoder\.)?", "") for pattern in HEADS[model_type]}
    said[decoder] = DECODERS[model_type]
    absent = [
        name.replace("\\", "")
        for pattern, name in said.items()
        if not any(re.fullmatch(pattern, present) for present in names)
    ]
    if absent:
        raise UsageError(
            str(place),
            f"the weights lack {listed(absent, 'and')} of the masked-language-model head"
            + ("" if tied else ", and tie_word_embeddings is false"),
            "wanted the trained head of a SPLADE checkpoint",
            "Use a checkpoint saved from the MaskedLM model, not from its body alone.",
        )


def _damaged(path: Path, found: str) -> UsageError:
    return UsageError(str(path), found, "wanted a complete safetensors file", "Copy or download the checkpoint again.")
