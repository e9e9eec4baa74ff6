"""The network of ours: an encoder, a pooling over its tokens and dense layers, where transformers has no such head."""
