"""The report of a run: its findings as plain values, and the HTML pages that show them."""
