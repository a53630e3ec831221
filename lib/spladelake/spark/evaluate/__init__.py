"""Evaluation of runs against judgements, comparison of runs, and the data of the report."""
