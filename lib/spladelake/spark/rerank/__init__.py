"""Rescore and combine the rankings of runs."""
