"""Names of the classifiers of scikit-learn that are fitted to features; read without loading scikit-learn or torch."""

LINEAR = ("logistic", "linear_svm")
"""Those that end as the last layer of an ordinary network."""

CLASSIFIERS = (*LINEAR, "svm", "random_forest", "knn")
