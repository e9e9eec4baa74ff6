"""Checks of a data set before a run: findings on its rows and labels."""
