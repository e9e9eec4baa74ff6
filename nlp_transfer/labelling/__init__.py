"""The labelling loop: which rows to label next, what comes back of them, and what further ones will buy."""
