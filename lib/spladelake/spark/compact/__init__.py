"""Compaction of vectors by pruning and rounding, with its effect measured."""
