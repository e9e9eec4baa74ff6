"""The class of progress bars: tqdm's for a terminal, or its widget in a notebook."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # In a notebook without ipywidgets tqdm falls back to text, with a warning that one cannot act on within a run.
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm

__all__ = ["tqdm"]
