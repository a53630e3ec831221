"""Import and export of runs and vectors in the formats of other programs."""
