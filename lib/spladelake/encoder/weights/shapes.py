"""Compare the numbers of config.json with the shapes of the tensors, before a model is built.

This reads only the headers of the weight files, so it takes milliseconds. It refuses a config that describes more than
any machine holds. In a known family it checks every tensor. In other families it checks the numbers that every
architecture has; the loader compares the rest when transformers builds the model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spladelake.encoder.saved.transformer import TransformerSettings
from spladelake.encoder.saved.values import read_json, whole_number
from spladelake.encoder.weights.families import FAMILIES, Family, tensor_sizes
from spladelake.encoder.weights.files import TensorHeader
from spladelake.errors import UsageError
from spladelake.names import listed

Headers = Mapping[str, TensorHeader]

FIX = "Copy config.json and the weights again from the same model."
# Keys that say how many modules there are, how long a side of a tensor is, and how many positions there are.
COUNTS = re.compile(
    r"(num|n)_(\w+_)?(layers?|blocks?|groups?|heads?|experts?|networks?|labels)|(en|de)coder_(layers|attention_heads)"
    r"|block_sizes|block_repeats|inner_group_num"
)
SIZES = re.compile(r"\w+_(size|dim)|dim|d_(model|ff|kv|inner|head|embed)|n_(embd|inner|words|langs)|\w*ffn_dim")
POSITIONS = re.compile(r"max_(\w+_)?positions?(_embeddings)?|n_positions|n_ctx|max_sequence_length")
# The keys of modules that have their own tensors, unless layers share them.
STACKED = re.compile(r".*(layers?|blocks?|groups?|networks?|sizes|repeats|group_num)")
# More than in any model. The largest have a few hundred layers, 16,384 experts (Doge), 10,485,760 positions (Llama 4).
MOST_SHARED, MOST_PARTS, MOST_POSITIONS = 512, 100_000, 2**24
# A side of a tensor up to this length fits any machine, even if no file holds the tensor.
SMALL_SIDE = 1_000_000
LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers")
WIDTHS = ("hidden_size", "d_model", "dim", "n_embd", "emb_dim")
VOCABULARIES, PLACE_KEYS = ("vocab_size", "n_words"), ("max_position_embeddings", "n_positions")
WORDS = re.compile(r"(.*\.)?(word_embeddings?|embed_tokens|tok_embeddings|wte|shared)\.weight")
PLACES = re.compile(r"(.*\.)?(embeddings\.position_embeddings|wpe)\.weight")
# Architectures in which layers share tensors, or in which other keys count the layers.
SHARED_LAYERS = ("albert", "funnel", "perceiver", "zamba", "zamba2", "reformer")


def check_shapes(folder: Path, settings: TransformerSettings, headers: Headers) -> None:
    """Raise UsageError if the numbers of config.json, with the changes by the settings, do not fit the tensors.

    The error names the wrong file. Settings may ask for fewer layers than the weights have, as in
    sentence-transformers.

    - folder: the folder of the model.
    - settings: the settings of its module.
    - headers: all tensors of the weights, by their present names.
    """
    config, path = read_json(folder / "config.json"), settings.path
    try:
        _check_config(folder, config | dict(settings.config), headers, chosen=settings.config)
    except UsageError as error:
        if path is None or not settings.config:
            raise
        _check_config(folder, config, headers)
        found = f"with the setting {settings.config_name}, {error.found}"
        raise UsageError(str(path), found, error.wanted, "Remove the setting.") from error


def _check_config(folder: Path, config: Mapping[str, Any], headers: Headers, *, chosen: Collection[str] = ()) -> None:
    """Check one config; see `check_shapes`.

    - chosen: keys that may give fewer layers than the weights have.
    """
    path = folder / "config.json"
    _check_bounds(path, config, headers)
    family = FAMILIES.get(str(config.get("model_type")))
    if family is not None and any(name.startswith(family.embeddings) for name in headers):
        _check_family(path, config, headers, family, chosen)
    else:
        _check_layers(path, config, headers, chosen)
        _check_words(path, config, headers)


def _check_bounds(path: Path, config: Mapping[str, Any], headers: Headers) -> None:
    """Raise UsageError if a number is larger than in any model."""
    largest = max((header.size for header in headers.values()), default=0)
    for key, value in _numbers(config):
        most, limit = _most(key.rsplit(".", 1)[-1], largest, len(headers))
        if value > most:
            raise UsageError(str(path), f"{key} is {value:,}", f"wanted at most {most:,} for {limit}", FIX)


def _most(key: str, largest: int, tensors: int) -> tuple[float, str]:
    """Return the largest possible number of a config's key, and the fact about the weights that limits it."""
    if STACKED.fullmatch(key) and COUNTS.fullmatch(key):
        return max(MOST_SHARED, tensors), f"weights with {tensors:,} tensors"
    if COUNTS.fullmatch(key):
        return MOST_PARTS, "any model"
    if POSITIONS.fullmatch(key):
        return MOST_POSITIONS, "any model"
    if SIZES.fullmatch(key):
        return max(SMALL_SIDE, largest), f"weights with {largest:,} numbers in the largest tensor"
    return float("inf"), ""


def _numbers(config: Mapping[str, Any], place: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """Yield (dotted key, number) of a config, of the configs inside it, and of their lists."""
    for key, value in config.items():
        if isinstance(value, Mapping) and depth < 8:
            yield from _numbers(value, f"{place}{key}.", depth + 1)
        else:
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, int | float):
                    yield f"{place}{key}", one


def _check_family(
    path: Path, config: Mapping[str, Any], headers: Headers, family: Family, chosen: Collection[str]
) -> None:
    layers, heads = whole_number(path, config, family.layers, least=0), whole_number(path, config, family.heads)
    found, stack = _members(headers, family.layer), family.layer.format("N").rstrip(".")
    _check_count(path, family.layers, layers, found, stack, fewer=family.layers in chosen)
    width = whole_number(path, config, family.width)
    if width is not None and heads is not None and width % heads:
        raise UsageError(
            str(path),
            f"{family.width} is {width}, and {family.heads} is {heads}",
            f"wanted {family.width} to be a multiple of {family.heads}",
            FIX,
        )
    for name, keys in tensor_sizes(family, layers or 0).items():
        wanted = [whole_number(path, config, key, least=0) for key in keys]
        if name not in headers or None in wanted:
            continue
        _check_type(path.parent, name, headers[name])
        if headers[name].shape != tuple(wanted):
            raise _contradiction(path, tuple(zip(keys, wanted, strict=True)), name, headers[name])


def _check_type(folder: Path, name: str, header: TensorHeader) -> None:
    if not re.match(r"B?F\d", header.dtype):
        raise UsageError(
            str(folder / header.file),
            f"the tensor {name} has the type {header.dtype}",
            "wanted floating-point numbers, not the weights of a quantised model",
            "Use the checkpoint from before the quantisation.",
        )


def _check_layers(path: Path, config: Mapping[str, Any], headers: Headers, chosen: Collection[str]) -> None:
    """Check the number of layers in an unknown family."""
    key = next((key for key in LAYERS if key in config), None)
    if key is None or config.get("model_type") in SHARED_LAYERS:
        return
    stacks: dict[str, set[int]] = defaultdict(set)
    for name in headers:
        if found := re.match(r"((?:.*?\.)?(?:layers?|h|block|blocks))\.(\d+)\.", name):
            stacks[found[1]].add(int(found[2]))
    wanted = whole_number(path, config, key, least=0)
    if not stacks or wanted is None:
        return
    stack = max(stacks, key=lambda name: len(stacks[name]))
    if wanted > len(stacks[stack]) or (len(stacks) == 1 and not config.get("is_encoder_decoder")):
        _check_count(path, key, wanted, stacks[stack], f"{stack}.N", fewer=key in chosen)


def _check_count(path: Path, key: str, wanted: int | None, found: set[int], stack: str, *, fewer: bool) -> None:
    """Raise UsageError if the weights do not hold the layers 0 to `wanted` - 1.

    - fewer: whether the weights may hold more layers.
    """
    if wanted is not None and not (set(range(wanted)) <= found if fewer else found == set(range(wanted))):
        layers = {0: "no layer", 1: "the layer 0"}.get(wanted, f"the layers 0 to {wanted - 1}")
        needed = f"wanted {layers}, because {key} is {wanted:,}"
        if not found:
            raise UsageError(str(path), f"the weights have no {stack}", needed, FIX)
        if found != set(range(len(found))):
            lost = [str(number) for number in range(max(found)) if number not in found]
            gap = f"the weights have a layer {max(found)}, but no layer {listed(lost[:12])}"
            fix = "Use a checkpoint whose layers are numbered without gaps."
            raise UsageError(str(path), gap, needed, fix)
        held = f"{stack} for N from {min(found)} to {max(found)}"
        raise UsageError(
            str(path), f"{key} is {wanted:,}", f"wanted {len(found)}, the number of layers in the weights ({held})", FIX
        )


def _members(headers: Headers, layer: str) -> set[int]:
    """Return the numbers of the layers in the weights.

    - layer: name of a layer, with braces in place of the number.
    """
    pattern = re.compile(re.escape(layer).replace(r"\{\}", r"(\d+)"))
    return {int(found[1]) for name in headers if (found := pattern.match(name))}


def _check_words(path: Path, config: Mapping[str, Any], headers: Headers) -> None:
    """Check vocabulary, width and positions in an unknown family."""
    terms = next((key for key in VOCABULARIES if key in config), None)
    for name, header in headers.items():
        if len(header.shape) != 2:
            continue
        if WORDS.fullmatch(name) and terms is not None:
            rows = whole_number(path, config, terms, least=0)
            widths = {key: config[key] for key in config if key in WIDTHS or SIZES.fullmatch(key)}
            if rows is not None and header.shape[0] != rows:
                raise _contradiction(path, ((terms, rows), _ANY), name, header)
            if widths and header.shape[1] not in widths.values():
                named = next((key for key in WIDTHS if key in config), min(widths))
                raise _contradiction(path, (_ANY, (named, config[named])), name, header)
        if PLACES.fullmatch(name) and (key := next((key for key in PLACE_KEYS if key in config), None)) is not None:
            rows = whole_number(path, config, key, least=0)
            # YOSO and Nyströmformer have two more positions than their config says. The loader knows these cases.
            if rows is not None and header.shape[0] not in (rows, rows + 2):
                raise _contradiction(path, ((key, rows), _ANY), name, header)
    width = next((key for key in WIDTHS if key in config), None)
    if width is not None and (value := whole_number(path, config, width, least=0)) is not None:
        sides = {side for header in headers.values() for side in header.shape}
        if sides and value not in sides:
            raise UsageError(
                str(path), f"{width} is {value:,}", "wanted a size that occurs in the shapes of the weights", FIX
            )


# A side of a tensor that is not compared.
_ANY: tuple[str, Any] = ("", None)


def _contradiction(path: Path, sides: Sequence[tuple[str, Any]], name: str, header: TensorHeader) -> UsageError:
    """Return the error for a tensor whose shape differs from the config.

    - sides: for each side of the tensor, the key of the config and its number, or _ANY.
    """
    known = [side for side in sides if side is not _ANY]
    if len(sides) == len(header.shape) and len(dict(known)) == len(known):
        pairs = zip(sides, header.shape, strict=True)
        other = {side[0]: (side[1], size) for side, size in pairs if side is not _ANY and side[1] != size}
        said = {key: number for key, (number, _) in other.items()}
        wanted = f"{listed((f'{key} {size}' for key, (_, size) in other.items()), 'and')}, as in this shape"
    else:
        said, wanted = dict(known), f"the shape {[number for _, number in sides]}"
    numbers = listed((f"{key} is {number}" for key, number in said.items()), "and")
    held = f"the tensor {name} in {header.file} has the shape {list(header.shape)}"
    return UsageError(str(path), f"{numbers}, but {held}", f"wanted {wanted}", FIX)
