"""The demo: a collection that needs no download."""
