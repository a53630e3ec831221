"""Training pairs, teacher scores, and the training of a model."""
