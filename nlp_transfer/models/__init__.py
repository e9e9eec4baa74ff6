"""Encoder, head and tokenizer as one model, its inference and its adapters."""
