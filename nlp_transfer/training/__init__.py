"""The training loop, its stages and steps, and what a run needs to stop and resume."""
