"""A small random model of any architecture that transformers knows, made at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast

from support.families import LENGTH, byte_pairs

# The numbers that make a model small, by the names that configurations give them; each is set where it exists.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "dim", "emb_dim", "n_embd", "embedding_size", "hidden_dim"), 32),
    **dict.fromkeys(("head_dim", "d_kv", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_heads", "num_key_value_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_sequence_length"), LENGTH + 2),
    **dict.fromkeys(("bos_token_id", "cls_token_id", "decoder_start_token_id"), 0),
    **dict.fromkeys(("eos_token_id", "sep_token_id"), 2),
    "pad_token_id": 1,
    "pad_index": 1,
}
# What single architectures need besides: numbers that must divide each other, or sizes of parts of their own.
EXTRA: dict[str, dict[str, Any]] = {
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "roc_bert": {"pronunciation_vocab_size": 8, "shape_vocab_size": 8},
}


def small_config(model_type: str, **changes: Any) -> Any:
    """The configuration of an architecture, every size small."""
    kind = CONFIG_MAPPING[model_type]
    plain, size = kind(), len(byte_pairs())
    wanted = SMALL | {"vocab_size": size}
    names = {name for name in wanted if hasattr(plain, name)}
    return kind(**({name: wanted[name] for name in names} | EXTRA.get(model_type, {}) | changes))


def build(folder: Path, model_type: str, auto: str, **changes: Any) -> Path:
    """Save a random model of an architecture and its tokenizer. auto: class of transformers, such as AutoModel."""
    torch.manual_seed(0)
    model = getattr(transformers, auto).from_config(small_config(model_type, **changes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 or name.endswith("bias"):
                parameter.normal_(0, 0.3)
    model.eval().save_pretrained(folder)
    tokenizer: PreTrainedTokenizerFast = byte_pairs()
    tokenizer.save_pretrained(folder)
    return folder
