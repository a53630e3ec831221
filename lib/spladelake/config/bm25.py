"""The options of encode_texts that BM25 alone has, and those that a neural model alone has."""

from __future__ import annotations

from pydantic import BaseModel

BM25_ONLY = ("k1", "b", "stemmer", "stopwords")
MODEL_ONLY = (
    "model_sha256",
    "max_length",
    "max_active_dims",
    "minimum_weight",
    "split_special_tokens",
    "token_budget",
)


def check_goes_with_model(options: BaseModel, model: str) -> None:
    """Raise ValueError if an option was given that the model does not have."""
    unfit, wanted = (MODEL_ONLY, "a neural model") if model == "bm25" else (BM25_ONLY, "--model bm25")
    for name in unfit:
        if getattr(options, name, None) != type(options).model_fields[name].default:
            raise ValueError(f"--{name.replace('_', '-')} needs {wanted}, and the model is {model}")
