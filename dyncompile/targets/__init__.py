"""Targets: what a backend needs, refuses, and how it is built."""
