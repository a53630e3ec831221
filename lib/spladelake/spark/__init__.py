"""The Spark jobs: ingest, encode, retrieve, evaluate, over Delta tables. torch is imported only inside workers."""
