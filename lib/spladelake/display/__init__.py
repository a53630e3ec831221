"""Results, comparisons and numbers as text for a terminal."""
