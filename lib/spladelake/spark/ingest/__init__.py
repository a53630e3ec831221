"""Read documents, queries and judgements into tables."""
