"""Exact top-k retrieval by dot product, in blocks, in the driver, or as a SQL join."""
