"""Shared parts of HTML pages: their shell, and SVG pictures."""
