"""Ranking of encoders and their layers by their features, before anything is trained."""
