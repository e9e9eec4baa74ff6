"""Checkpoints of a run: its state, the files that hold it, when it is written, and which run it is."""
