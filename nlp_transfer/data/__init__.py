"""From files to batches: read, check, tokenize, batch."""
