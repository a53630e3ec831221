"""Sparse vectors in the file formats of other engines: integer weights, lines of text, and CIFF."""

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
