"""Small random checkpoints of every family, made at run time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

CORPUS = [
    "The implied warranty of merchantability is a warranty that common law gives every buyer.",
    "Sparse vectors name the terms of a text and how much each of them weighs.",
    "Le chat dort sur le canapé, naïve façade; Straße, Zürich, ÅNGSTRÖM, Ελλάδα, Россия.",
    "Numbers such as 1234567890, symbols (&%$#@!?) and punctuation -- also count, don't they?",
    "北京 東京 서울 مرحبا שלום नमस्ते 😀",
]
TEXTS = [
    "common law implied warranty",
    "a",
    "Sparse vectors name the terms",
    "Straße and façade, twice: Straße and façade!",
    "the terms of a text " * 12,
    "x1y2 don't stop? 東京",
]
LENGTH = 48  # positions of the models


@cache
def _word_piece() -> str:
    """Trained once: training breaks ties between pieces at random."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def word_piece() -> PreTrainedTokenizerFast:
    """A BERT-like tokenizer of some hundred pieces."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_word_piece()),
        model_max_length=LENGTH,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


@cache
def _byte_pairs() -> str:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return str(tokenizer.to_str())


def byte_pairs() -> PreTrainedTokenizerFast:
    """A RoBERTa-like tokenizer: byte pairs, the padding token at id 1, which positions are counted from."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_byte_pairs()),
        model_max_length=LENGTH,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        bos_token="<s>",
        eos_token="</s>",
    )


def save(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> Path:
    """Save a model with random weights, large enough that some of the logits are positive and far from 0."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
            elif name.endswith("bias"):
                parameter.normal_(-0.2 if len(parameter) > 250 else 0.0, 0.3)
            if name.endswith("word_embeddings.weight"):
                parameter[model.config.pad_token_id or 0] = 0.0  # as training leaves it
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def bert(folder: Path, **changes: Any) -> Path:
    """BERT, GELU, decoder tied to the word embeddings."""
    tokenizer = word_piece()
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LENGTH, **(SMALL | changes))
    return save(folder, BertForMaskedLM(config), tokenizer)


def distilbert(folder: Path) -> Path:
    """DistilBERT."""
    tokenizer = word_piece()
    config = DistilBertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LENGTH, dim=32, n_layers=2, n_heads=4, hidden_dim=64
    )
    return save(folder, DistilBertForMaskedLM(config), tokenizer)


def roberta(folder: Path) -> Path:
    """RoBERTa: byte pairs, positions counted from the padding id."""
    tokenizer = byte_pairs()
    config = RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=LENGTH + 2, pad_token_id=1, type_vocab_size=1, **SMALL
    )
    return save(folder, RobertaForMaskedLM(config), tokenizer)


def modernbert(folder: Path) -> Path:
    """ModernBERT: rotary positions, local attention, a head without biases."""
    tokenizer = byte_pairs()
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=LENGTH,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        cls_token_id=0,
        sep_token_id=2,
        local_attention=16,
        **SMALL,
    )
    return save(folder, ModernBertForMaskedLM(config), tokenizer)


def electra(folder: Path) -> Path:
    """ELECTRA's generator: embeddings narrower than the layers, projected."""
    tokenizer = word_piece()
    config = ElectraConfig(vocab_size=len(tokenizer), max_position_embeddings=LENGTH, embedding_size=16, **SMALL)
    return save(folder, ElectraForMaskedLM(config), tokenizer)


def mobilebert(folder: Path) -> Path:
    """MobileBERT, whose decoder multiplies by two joined matrices instead of being a linear layer."""
    tokenizer = word_piece()
    config = MobileBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=LENGTH,
        embedding_size=16,
        intra_bottleneck_size=32,
        true_hidden_size=32,
        **SMALL,
    )
    return save(folder, MobileBertForMaskedLM(config), tokenizer)


FAMILIES = {
    "bert": bert,
    "distilbert": distilbert,
    "roberta": roberta,
    "modernbert": modernbert,
    "electra": electra,
    "mobilebert": mobilebert,
}
