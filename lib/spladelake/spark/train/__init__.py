"""Jobs that mine training pairs, score them with teachers, and train a model."""
