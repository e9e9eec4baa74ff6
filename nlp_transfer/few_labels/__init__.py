"""Learning from a few labels or none: what label texts tell before rows do."""
