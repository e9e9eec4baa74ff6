"""Is a data set fit to be trained on? Findings on its rows, before a run."""
