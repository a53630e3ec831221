"""Screening: find the terms that can be positive in a text, before their weights are computed in float32."""
