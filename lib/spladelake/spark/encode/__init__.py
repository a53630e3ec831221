"""Encode texts into sparse vectors, whole tables or what changed in them."""
