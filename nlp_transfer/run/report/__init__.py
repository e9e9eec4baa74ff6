"""What is to be said of a run to those who decide by it, and how does it look?"""
