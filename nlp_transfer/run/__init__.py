"""The folder of a run: what is written into it, its model card, its report, and the check that it opens again."""
