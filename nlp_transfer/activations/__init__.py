"""Activations of frozen layers: computed once, cached on disk, fed to a truncated network."""

from nlp_transfer.system.old_paths import moved_names

__getattr__ = moved_names(__name__)
