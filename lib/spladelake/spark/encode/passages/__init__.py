"""Vectors of passages: documents are compared, split and published whole."""
