"""Scores and predictions of a trained model, and scores of baselines."""
