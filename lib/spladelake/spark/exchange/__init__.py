"""Runs and vectors from and for other programs."""
