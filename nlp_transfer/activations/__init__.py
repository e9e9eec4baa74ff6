"""Activations of frozen layers: computed once, cached on disk, fed to a truncated network."""
