"""Classifiers of scikit-learn on the features of an encoder: fitting, the network around one, and saving."""
