"""Many trainings side by side: comparisons, searches, rankings, and the choice of a strategy."""
