"""The machine and its files: hardware, atomic writes, locks, and how a command runs and stops."""
