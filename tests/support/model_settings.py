"""Every setting of a model folder that sentence-transformers and transformers read, with an unusual value each.

A case says what the value does to the reference: nothing, another result, or a result that this project refuses to
give. Cases without an effect are joined, as nothing can hide among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["none", "other", "refused"]

WRAPPER, MODEL, TOKENIZER = "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json"
CONFIG, POOLING, ROUTER, STATIC = "config.json", "1_SpladePooling/config.json", "router_config.json", "static"
Table = dict[str, dict[str, list[Any]]]

# Of the Transformer module: the same for encoders and cross-encoders.
ARGUMENTS: dict[str, dict[str, list[Any]]] = {
    "none": {
        "max_seq_length": [None],
        "transformer_task": [],
        "unpad_inputs": [True],
        "backend": ["onnx"],
        "cache_dir": ["/nowhere"],
        "model_args": [{"torch_dtype": "float32", "attn_implementation": "eager", "revision": "other"}],
        "config_args": [{"surprise": 3, "use_cache": True, "trust_remote_code": True}],
        "tokenizer_args": [{"use_fast": False, "subfolder": "elsewhere"}, {"padding_side": "left"}],
        "processing_kwargs": [
            {"text": {"padding": "max_length", "truncation": True, "stride": 2}, "audio": {"x": 1}, "chat_template": {}}
        ],
    },
    "other": {
        "max_seq_length": [12],
        "tokenizer_args": [{"model_max_length": 12}, {"split_special_tokens": True}],
        "processor_kwargs": [{"model_max_length": 12, "truncation_side": "left"}],
        "config_args": [{"hidden_act": "relu"}],
        "config_kwargs": [{"num_hidden_layers": 1}],
        "processing_kwargs": [{"text": {"max_length": 12}}, {"common": {"max_length": 12}}],
    },
    "refused": {
        "surprise": [1],
        "transformer_task": ["feature-extraction"],
        "modality_config": [
            {"text": {"method": "forward", "method_output_name": "hidden_states"}},
            {"message": {"method": "forward", "method_output_name": "logits"}},
        ],
        "module_output_name": ["elsewhere"],
        "max_seq_length": [0, "12"],
        "query_length": [True],
        "document_length": [-1],
        "query_expansion": [{"strategy": "fixed", "length": 32}, {}],
        "tokenizer_name_or_path": ["elsewhere"],
        "model_args": [{"variant": "fp16"}, {"ignore_mismatched_sizes": True}, 3],
        "model_kwargs": [{"surprise": 1}],
        "tokenizer_args": [{"vocab_file": "elsewhere"}, {"gguf_file": "elsewhere"}, {"model_max_length": 0}],
        "processor_kwargs": [{"tokenizer_type": "bert"}],
        "config_args": [{"model_type": "roberta"}, {"architectures": ["Other"]}, {"compression_config": {"bits": 4}}],
        # The weights hold two layers of width 32, and the first alone can be asked for.
        "config_kwargs": [{"num_hidden_layers": 3}, {"hidden_size": 64}, {"vocab_size": 10**9}],
        "processing_kwargs": [
            {"text": {"truncation": False}},
            {"text": {"add_special_tokens": False}},
            {"text": {"padding": "max_length", "padding_side": "left"}},
        ],
    },
}
# Of a tokenizer: the same for both, with the class that builds a normaliser of these settings.
TOKENIZERS: dict[str, dict[str, list[Any]]] = {
    "none": {
        "padding_side": ["left"],
        "clean_up_tokenization_spaces": [True],
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": [True],
        "auto_map": [{"AutoTokenizer": ["own.Slow", "own.Fast"]}],
        "extra_special_tokens": [["[MASK]"]],
        "add_bos_token": [True],
        "add_eos_token": [True],
        "processor_class": ["Unheard"],
        "unk_token": ["[MASK]"],
        "pad_token": ["[UNK]"],
        "mask_token": ["[UNK]"],
        "cls_token": ["[SEP]"],
        "sep_token": ["[CLS]"],
        "bos_token": ["[CLS]"],
        "eos_token": ["[SEP]"],
        "response_template": [None],
        "response_schema": [None],
        "chat_control_tokens": [["[MASK]"]],
        "model_specific_special_tokens": [{"own_token": "[MASK]"}],
    },
    "other": {
        "model_max_length": [12],
        "truncation_side": ["left"],
        "split_special_tokens": [True],
    },
    "refused": {
        "chat_template": ["{{ messages }}"],
        "model_max_length": [0],
        "processor_class": ["LayoutLMv3Processor"],
        "auto_map": [],
    },
}
# Of the models' config, what enters neither a shape of a tensor nor the class of the model.
CONFIGS: dict[str, dict[str, list[Any]]] = {
    "none": {
        "auto_map": [{}, {"AutoConfig": "own.Config", "AutoModel": "own.Model"}],
        "attention_probs_dropout_prob": [0.9],
        "hidden_dropout_prob": [0.9],
        "classifier_dropout": [0.9],
        "chunk_size_feed_forward": [0],
        "use_cache": [True],
        "pad_token_id": [5],
        "problem_type": ["regression"],
        "is_encoder_decoder": [False],
        "output_hidden_states": [True],
        "output_attentions": [False],
        "return_dict": [True],
        "initializer_range": [9.0],
    },
    "other": {
        "hidden_act": ["relu"],
        "layer_norm_eps": [0.1],
        "num_attention_heads": [1],
        "is_decoder": [True],
    },
    "refused": {
        "num_hidden_layers": [1],
        "quantization_config": [{"quant_method": "gptq"}],
        "max_position_embeddings": ["48", 2.5],
        "pad_token_id": ["0"],
    },
}
ENCODER: dict[str, Table] = {
    "none": {
        MODEL: {
            "similarity_fn_name": ["cosine"],
            "requirements": [{"transformers": ">=4", "python": {"specifier": ">=3"}, "pytorch": ">=1", "numpy": 3}],
            "default_prompt_name": ["query"],
            "surprise": [1],
        },
        POOLING: {"embedding_dimension": [3], "word_embedding_dimension": [3], "chunk_size": [2]},
        ROUTER: {"default_route": ["query"], "allow_empty_key": [False], "route_mappings": [{"not a key": "query"}]},
        STATIC: {"frozen": [True], "path": [None]},
    },
    "other": {
        MODEL: {"prompts": [{"query": "buyer ", "document": "the "}], "max_active_dims": [5]},
        WRAPPER: {"query_length": [7], "document_length": [9]},
        POOLING: {"pooling_strategy": ["sum"], "activation_function": ["log1p_relu"]},
        ROUTER: {"route_mappings": [{"(None, 'text')": "document"}, {"('query', None)": "document"}]},
    },
    "refused": {
        MODEL: {
            "model_type": ["CrossEncoder", "SentenceTransformer"],
            "prompts": [{"query": 3}, ["query: "]],
            "default_prompt_name": ["absent"],
            "max_active_dims": [0],
            "requirements": [{"transformers": "<4"}, {"unheard-of": ">1"}],
        },
        POOLING: {"surprise": [1], "pooling_strategy": ["mean"], "activation_function": ["tanh"]},
        ROUTER: {"surprise": [1], "default_route": ["absent"], "route_mappings": [{"('query', 'text')": "absent"}]},
        STATIC: {"surprise": [1], "path": ["idf.json"]},
    },
}
CROSS_ENCODER: dict[str, Table] = {
    "none": {
        MODEL: {
            "prompts": [{"query": "bread "}],
            "keep_in_fp32_modules": [["0.model.classifier"]],
            "requirements": [{"transformers": ">=4"}],
        },
        WRAPPER: {"query_length": [5], "document_length": [5]},
    },
    "other": {
        MODEL: {"activation_fn": ["torch.nn.modules.activation.Tanh", "torch.nn.modules.activation.Softplus"]},
        CONFIG: {
            "sbert_ce_default_activation_function": ["torch.nn.modules.linear.Identity"],
            "sentence_transformers": [{"activation_fn": "torch.nn.modules.activation.Tanh"}],
        },
        TOKENIZER: {"model_input_names": [["input_ids", "attention_mask"]]},
    },
    "refused": {
        MODEL: {"default_prompt_name": ["absent"], "activation_fn": ["os.system"], "requirements": [{"torch": "<1"}]},
        CONFIG: {"num_labels": [3], "id2label": [{"0": "a", "1": "b"}]},
        WRAPPER: {"config_kwargs": [{"num_labels": 3}]},
    },
}


@dataclass(frozen=True)
class Setting:
    """One setting in one file. base: which of the model folders it is set in."""

    base: str
    file: str
    key: str
    value: Any

    @property
    def name(self) -> str:
        return f"{self.base} {self.file.rsplit('/', 1)[-1]} {self.key} {self.value!r}"


def is_slow(setting: Setting) -> bool:
    """Whether comparing it is left to the long tests: the config and the tokenizer are read by transformers itself."""
    return setting.file in (CONFIG, TOKENIZER) or setting.key.startswith(("config_", "processing_"))


def settings(own: dict[str, Table], effect: Effect) -> Iterator[Setting]:
    """The settings with that effect of an encoder or a cross-encoder: its own, and those that both have."""
    shared: Table = {WRAPPER: ARGUMENTS[effect], TOKENIZER: TOKENIZERS[effect], CONFIG: CONFIGS[effect]}
    for table in (shared, own[effect]):
        for file, keys in table.items():
            # A plain model has neither wrapper nor settings of its own; its chat template counts.
            base = "router" if file in (ROUTER, STATIC) else "plain" if file in (TOKENIZER, CONFIG) else "saved"
            for key, values in keys.items():
                yield from (Setting(base, file, key, value) for value in values)
