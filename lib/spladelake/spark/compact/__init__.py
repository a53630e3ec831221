"""Smaller vectors: pruned and rounded, with their effect measured."""
