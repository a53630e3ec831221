"""A small random cross-encoder, made at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

LENGTH = 40
TRAINING = [
    "Trains run on rails and carry passengers and freight between cities.",
    "Bread is baked from flour and water, often with yeast to make the dough rise.",
    "Straße façade 東京 numbers 1234567890 and symbols (&%$#@!?)",
]

PAIRS = [
    ("how is bread made", "Bread is baked from flour and water."),
    ("how is bread made", "Trains run on rails. " * 30),
    ("rails " * 60, "Trains run on rails."),
    ("trains", ""),
    ("", "flour"),
    ("straße", "façade 東京 1234 (&%$)"),
    *((f"passengers {n}", "freight and cities " * (n % 7)) for n in range(40)),
]


def write_cross_encoder(folder: Path, *, labels: int = 1, **extra: Any) -> Path:
    """A BERT of two layers that scores pairs; extra goes into its config."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(TRAINING, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LENGTH, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
    torch.manual_seed(3)
    # Wide initial weights, so that the scores of different pairs differ by far more than rounding.
    config = BertConfig(
        vocab_size=len(wrapped), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=LENGTH, num_labels=labels, initializer_range=0.4, **extra,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder
