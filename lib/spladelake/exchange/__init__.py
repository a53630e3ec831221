"""Sparse vectors in the file formats of other engines: weights as whole numbers, lines of text, CIFF, matrices."""

from spladelake.exchange.ciff import CiffHeader, DocRecord, PostingsList, read_ciff, write_ciff
from spladelake.exchange.lines import LINE_FORMATS, LineFormat, parse_line
from spladelake.exchange.quantiser import Quantiser

__all__ = [
    "LINE_FORMATS",
    "CiffHeader",
    "DocRecord",
    "LineFormat",
    "PostingsList",
    "Quantiser",
    "parse_line",
    "read_ciff",
    "write_ciff",
]
