"""Results, comparisons and numbers as a person reads them at a terminal."""
