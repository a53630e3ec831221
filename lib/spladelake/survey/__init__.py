"""A look at a user's files before any Spark session, and the pipeline file that is written after it."""
