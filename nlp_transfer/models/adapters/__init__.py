"""Adapters: the few weights that PEFT puts into a network that stays as it is, and how they are saved and opened."""
