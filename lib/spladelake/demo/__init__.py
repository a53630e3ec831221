"""The demo, on a collection that needs no download."""
