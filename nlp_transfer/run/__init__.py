"""The folder of a run: its files, model card, report, and the verification of the saved model."""
