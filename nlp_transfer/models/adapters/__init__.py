"""Adapters: the few trainable weights that PEFT adds to a frozen network, and how they are saved and loaded."""
