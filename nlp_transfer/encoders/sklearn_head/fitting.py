"""Fitting of scikit-learn classifiers to features, with their regularisation chosen by cross-validation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nlp_transfer.encoders.sklearn_head.classifiers import LINEAR
from nlp_transfer.encoders.sklearn_head.decisions import decisions, linear_layer
from nlp_transfer.errors import OptionError, UserError
from nlp_transfer.metrics.temperature import temperature_of

log = logging.getLogger(__name__)

# The strongest regularisation comes first. C of the linear ones is for standardised features; gamma is in units of
# scikit-learn's default, 1 / (width * variance).
_GRIDS: dict[str, dict[str, list[Any]]] = {
    "logistic": {"classifier__C": [0.001, 0.003, 0.01, 0.03, 0.1, 1.0]},
    "linear_svm": {"classifier__C": [0.0003, 0.001, 0.003, 0.01, 0.03]},
    "svm": {"classifier__C": [1.0, 3.0], "classifier__gamma": [1.0, 0.5]},
    "random_forest": {"classifier__min_samples_leaf": [1, 3], "preparation__n_components": [50, 100]},
    "knn": {"classifier__n_neighbors": [41, 21, 11, 5]},
}
_FOLDS = 3
_CHOSEN_ON = 6000  # items, at most: with more the best regularisation changes little, and minutes become hours
_TREES, _TREES_WHILE_CHOOSING = 300, 100
_SURE = 10.0  # the logit of a label that all training rows have
_MOST_OF_AN_SVM = 15_000  # items: the time that a kernel SVM takes grows with their square


class Fitted(NamedTuple):
    """A fitted pipeline of scikit-learn, its classes label ids; and by what its decisions are multiplied."""

    classifier: Any
    scale: float


def fit_classifier(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    class_weights: Mapping[int, float] | None = None,
    outside: int | None = None,
) -> Fitted:
    """Fit one of `CLASSIFIERS` to features `(items, width)` and their label ids `(items,)`.

    Its regularisation is the strongest that, in 3-fold cross-validation, is within one standard error of the best
    accuracy; where items are many, on a stratified sample of them. With `outside`, the label of words that are in no
    entity, it is F1 of the other words, since to predict no entity at all would be accurate. Decisions of all but
    logistic regression, which gives probabilities, are multiplied by the one number that makes their softmax most
    likely on held-out items (temperature scaling; Guo et al. 2017), which changes no prediction.

    >>> fit_classifier("svm", features, labels, seed=0).classifier.predict(features)

    Raises:
        OptionError: class weights for a classifier that takes none.
        UserError: one label only, or features that are not finite numbers.
    """
    counts = ~np.isin(labels, [label for label, weight in (class_weights or {}).items() if not weight])
    features, labels = features[counts], labels[counts]
    if len(np.unique(labels)) < 2:
        raise UserError(
            "all training rows have the same label, so there is nothing to learn; give rows with two or more labels."
        )
    _require_finite(features)
    if class_weights and name == "knn":
        raise OptionError("--classifier knn takes no class weights; choose another, or leave them out.")
    if name not in ("random_forest", "knn"):
        features = features.astype(np.float64)  # the precision of the solvers
    rng = np.random.default_rng(seed)
    log.info("Fitting %s to %s items of %d features.", name, f"{len(labels):,}", features.shape[1])
    if name == "svm" and len(labels) > _MOST_OF_AN_SVM:
        chosen = _sample(labels, _MOST_OF_AN_SVM, rng)
        features, labels = features[chosen], labels[chosen]
        log.info(
            "Fitting the kernel SVM to a stratified sample of %s items, since its time grows with their square.",
            f"{len(labels):,}",
        )
    classifier = _pipeline(name, seed, class_weights)
    parameters, scale = _choose(name, classifier, features, labels, outside, rng)
    classifier.set_params(**parameters)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # few rows of many labels, and no numbers
        return Fitted(_fit(classifier, features, labels), 1.0 if name == "logistic" else scale)


def fit_layer(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    count: int,
    seed: int,
    class_weights: Mapping[int, float] | None = None,
    outside: int | None = None,
) -> Fitted | tuple[np.ndarray, np.ndarray]:
    """`fit_classifier` for a network with `count` labels: of one of `LINEAR` the weight and bias of its last layer."""
    fitted = fit_classifier(name, features, labels, seed, class_weights, outside)
    return linear_layer(*fitted, count) if name in LINEAR else fitted


def fit_several(
    name: str, features: np.ndarray, marks: np.ndarray, seed: int, positive_weights: Mapping[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one of `LINEAR` to each label by itself: weight `(labels, width)` and bias `(labels,)` of the logits.

    `marks` is `(items, labels)`, 1 where the label is there (one against the rest). A label that all rows have is
    always there, one that none has never.
    """
    weight, bias = np.zeros((marks.shape[1], features.shape[1])), np.zeros(marks.shape[1])
    for label, there in enumerate((marks > 0.5).T.astype(int)):
        if there.min() == there.max():
            bias[label] = _SURE if there[0] else -_SURE
            continue
        weights = {1: positive_weights[label]} if label in positive_weights else None
        fitted = fit_classifier(name, features, there, seed, weights)
        (not_weight, is_weight), (not_bias, is_bias) = linear_layer(fitted.classifier, fitted.scale, 2)
        weight[label], bias[label] = is_weight - not_weight, is_bias - not_bias
    return weight, bias


def fit_ridge(features: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression on standardised features, its alpha by cross-validation that leaves one row out at a time.

    Weight `(1, width)` and bias `(1,)`. UserError for features that are not finite numbers.
    """
    from sklearn.linear_model import RidgeCV  # a second to load, which other strategies need not wait for
    from sklearn.preprocessing import StandardScaler

    _require_finite(features)
    log.info("Fitting ridge regression to %s rows of %d features.", f"{len(numbers):,}", features.shape[1])
    scaler = StandardScaler()
    ridge = RidgeCV(alphas=np.logspace(-1, 5, 13)).fit(scaler.fit_transform(features.astype(np.float64)), numbers)
    weight = ridge.coef_[None] / scaler.scale_
    return weight, ridge.intercept_ - weight @ scaler.mean_


def _require_finite(features: np.ndarray) -> None:
    if not np.isfinite(features).all():
        raise UserError("the encoder gives features that are not finite numbers; try --mixed_precision no.")


def _pipeline(name: str, seed: int, class_weights: Mapping[int, float] | None) -> Any:
    from sklearn.decomposition import PCA  # a second to load all these, which other strategies need not wait for
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import SVC, LinearSVC

    weight = dict(class_weights) if class_weights else None
    preparation, classifier = {
        "logistic": (StandardScaler(), LogisticRegression(max_iter=2000, class_weight=weight)),
        "linear_svm": (StandardScaler(), LinearSVC(max_iter=10_000, class_weight=weight, random_state=seed)),
        # With ties unbroken, it does not always predict the class with the greatest decision value.
        "svm": ("passthrough", SVC(break_ties=True, class_weight=weight)),
        # A tree splits on one feature at a time, and single features of an encoder carry little; its first principal
        # components carry more (tweet_emotion 65.7 -> 69.8 accuracy, SST-2 and TREC within noise, in half the time).
        "random_forest": (
            PCA(random_state=seed), RandomForestClassifier(_TREES, n_jobs=1, class_weight=weight, random_state=seed)
        ),
        # Of vectors of length 1, by brute force: search trees are of no use in so many dimensions.
        "knn": (Normalizer(), KNeighborsClassifier(weights="distance", algorithm="brute")),
    }[name]  # fmt: skip
    return Pipeline([("preparation", preparation), ("classifier", classifier)])


def _choose(
    name: str,
    classifier: Any,
    features: np.ndarray,
    labels: np.ndarray,
    outside: int | None,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], float]:
    """The parameters chosen by cross-validation (see `fit_classifier`), and the scale of their decisions."""
    from joblib import Parallel, delayed  # they come with scikit-learn
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    chosen = _sample(labels, _CHOSEN_ON, rng)
    names, counts = np.unique(labels[chosen], return_counts=True)
    chosen = chosen[np.isin(labels[chosen], names[counts >= _FOLDS])]
    candidates = _candidates(name, features, max(1, len(chosen) * (_FOLDS - 1) // _FOLDS))
    if sum(counts >= _FOLDS) < 2:
        middle = candidates[len(candidates) // 2]
        log.info("Too few labels have %d items for cross-validation; using %s.", _FOLDS, _described(middle))
        return middle, 1.0
    if min(counts) < _FOLDS:
        log.info("Leaving labels with fewer than %d items out of cross-validation.", _FOLDS)
    classes, targets = np.unique(labels[chosen], return_inverse=True)
    seed = int(rng.integers(2**31))
    folds = list(StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(features[chosen], targets))
    lighter = {"classifier__n_estimators": _TREES_WHILE_CHOOSING} if name == "random_forest" else {}
    # These use one core, and release the GIL: fits run in parallel threads.
    jobs = -1 if name in ("linear_svm", "svm") else 1
    with warnings.catch_warnings(), threadpool_limits(1 if jobs == -1 else None):
        warnings.simplefilter("ignore")  # of fits that stop before they converge: their score counts
        held_out = Parallel(jobs, prefer="threads")(
            delayed(_held_out)(classifier, parameters | lighter, features[chosen], labels[chosen], folds)
            for parameters in candidates
        )
    scores = np.array([_score(classes[values.argmax(axis=1)], labels[chosen], outside) for values in held_out])
    # One standard error is within chance (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3).
    error = np.sqrt(scores.max() * (1 - scores.max()) / np.sum(labels[chosen] != outside))
    best = int(np.argmax(scores >= scores.max() - error))
    log.info(
        "Chosen by %d-fold cross-validation on %s items: %s (%s %.3f).",
        _FOLDS, f"{len(chosen):,}", _described(candidates[best]),
        score_name(outside), scores[best],
    )  # fmt: skip
    return candidates[best], 1 / temperature_of(held_out[best], targets)


def score_name(outside: int | None) -> str:
    """The score of items of which `outside` is the label of words in no entity, None where they are texts."""
    return "accuracy" if outside is None else "F1 of words in entities"


def _score(predicted: np.ndarray, labels: np.ndarray, outside: int | None) -> float:
    """F1 of the items that are not `outside`; where none is, that is accuracy."""
    counts = labels != outside
    return 2 * float(np.sum(counts & (predicted == labels))) / (np.sum(counts) + np.sum(predicted != outside))


def _held_out(classifier: Any, parameters: dict[str, Any], features: np.ndarray, labels: np.ndarray, folds: Any) -> Any:
    """Decisions on each item, of a classifier fitted without its fold."""
    from sklearn.base import clone  # takes a second

    values = np.empty((len(labels), len(np.unique(labels))))
    for training, held_out in folds:
        fitted = _fit(clone(classifier).set_params(**parameters), features[training], labels[training])
        values[held_out] = decisions(fitted, features[held_out])
    return values


def _fit(classifier: Any, features: np.ndarray, labels: np.ndarray) -> Any:
    """Fit; a forest is grown on all cores but predicts on one, so that votes are summed in the same order each time."""
    if "classifier__n_estimators" not in classifier.get_params():
        return classifier.fit(features, labels)
    with warnings.catch_warnings():  # its threads change the filters
        classifier.set_params(classifier__n_jobs=-1).fit(features, labels)
    return classifier.set_params(classifier__n_jobs=1)


def _candidates(name: str, features: np.ndarray, items: int) -> list[dict[str, Any]]:
    """The parameters of a grid that make sense for a fit to so many items."""
    from sklearn.model_selection import ParameterGrid  # takes a second

    grid = dict(_GRIDS[name])
    if name == "svm":
        unit = features.shape[1] * features.var()
        grid["classifier__gamma"] = [gamma / unit for gamma in grid["classifier__gamma"]]
    for parameter, most in (
        ("classifier__n_neighbors", items),
        ("preparation__n_components", min(features.shape[1], items)),
    ):
        if parameter in grid:
            grid[parameter] = [value for value in grid[parameter] if value <= most] or [most]
    return list(ParameterGrid(grid))


def _sample(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Places of about `most` items, in which each label has its share, and at least one item."""
    if len(labels) <= most:
        return np.arange(len(labels))
    shuffled = rng.permutation(len(labels))
    by_label = [shuffled[labels[shuffled] == label] for label in np.unique(labels)]
    return np.sort(np.concatenate([places[: -(-len(places) * most // len(labels))] for places in by_label]))


def _described(parameters: dict[str, Any]) -> str:
    values = {name.partition("__")[2]: value for name, value in parameters.items()}
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
