"""A server of trained models: HTTP, batches over requests, and a page to try them."""
