"""Measure an artifact: every path forced, and running free on data."""
