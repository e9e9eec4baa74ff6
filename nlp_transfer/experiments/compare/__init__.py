"""Comparison of strategies and encoders on the same rows, beside baselines that need no transfer."""
