"""Classifiers of scikit-learn on the features of an encoder: how they are fitted, kept in a network, and saved."""
