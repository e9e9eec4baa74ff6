"""The training loop, its stages and steps, and what a run needs to stop and resume."""

from nlp_transfer.system.old_paths import moved_names

__getattr__ = moved_names(__name__)
