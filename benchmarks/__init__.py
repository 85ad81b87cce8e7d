"""Measurements of the search itself, one command each."""
