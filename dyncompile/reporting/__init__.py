"""The report of ``dyncompile bench``: one HTML file that needs nothing else."""

from __future__ import annotations

__all__ = ["write_report"]

from dyncompile.reporting.page import write_report
