"""The commands: each file is one recipe, to run as it is or to copy and change."""
