"""Pretrained encoders: loading, layers, precision, cost, and the networks of ours that stand on them."""
