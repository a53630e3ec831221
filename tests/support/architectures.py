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
# What single architectures need besides, None to leave a number out: some must divide or add up to each other.
EXTRA: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"layer_types": ["full_attention"] * 2},
    "deepseek_v2": {"num_experts_per_tok": 2, "n_routed_experts": 4, "n_group": 1, "topk_group": 1},
    "deepseek_v3": {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2},
    "falcon": {"head_dim": None},
    "funnel": {"num_hidden_layers": None, "block_sizes": [2, 2], "n_head": 4, "d_head": 8, "d_inner": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 8},
    "lilt": {"hidden_size": 48},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "neomme": {"head_dim": 16},
    "t5": {"decoder_start_token_id": 1},
    "reformer": {
        "axial_pos_embds": False, "attn_layers": ["local", "local"], "attention_head_size": 8, "feed_forward_size": 64,
        "local_attn_chunk_length": 8, "is_decoder": False,
    },
    "roc_bert": {"pronunciation_vocab_size": 8, "shape_vocab_size": 8},
    "xlnet": {"max_position_embeddings": None, "d_inner": 64},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    **{name: {"num_experts": 4, "num_experts_per_tok": 2} for name in ("qwen2_moe", "qwen3_moe", "qwen3_next")},
}  # fmt: skip


def small_config(model_type: str, **changes: Any) -> Any:
    """The configuration of an architecture, every size small."""
    kind, extra = CONFIG_MAPPING[model_type], EXTRA.get(model_type, {})
    names = set(dir(kind())) | set(kind.attribute_map or {})
    wanted = {name: value for name, value in (SMALL | {"vocab_size": len(byte_pairs())}).items() if name in names}
    return kind(**{name: value for name, value in (wanted | extra | changes).items() if value is not None})


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
