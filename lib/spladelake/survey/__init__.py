"""Examine a user's files without Spark, and write a pipeline file for them."""
