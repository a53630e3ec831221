"""Jobs that make a new run from existing runs: re-ranking with a cross-encoder, and fusion."""
