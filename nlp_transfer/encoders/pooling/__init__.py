"""A text classifier of pooling and dense layers on an encoder, for the heads that transformers does not have."""
