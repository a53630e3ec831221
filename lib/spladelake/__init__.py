"""Learned sparse retrieval as Spark jobs over Delta tables.

Three rings, each importing only inwards: plain numpy code (errors, config, vectors, files, measures, scoring),
the encoder on torch and transformers, and the Spark jobs.
"""

__version__ = "0.2.0"
