"""Encode texts into sparse vectors: whole tables, or only the texts that changed."""
