"""Stores that are only an optimisation: what they do not know, or do not say in time, is a miss."""
