"""Limits the GPU memory that a framework takes."""

from __future__ import annotations


def begin() -> None:
    """Applies the run's limit."""
