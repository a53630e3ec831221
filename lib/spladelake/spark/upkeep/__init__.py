"""Maintenance and verification of a lake."""
