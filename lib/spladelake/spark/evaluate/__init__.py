"""Measures of runs against judgements, comparisons of runs, and the report."""
