"""Passages by the tokens of a model. Needs its tokenizer, not the model itself."""

from spladelake.encoder.passages.splitter import Splitter

__all__ = ["Splitter"]
