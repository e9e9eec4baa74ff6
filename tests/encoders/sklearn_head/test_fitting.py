"""Regularisation is chosen on what there is, be it much, little or odd, and decisions are honest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from nlp_transfer.encoders.sklearn_head import fitting
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS, LINEAR
from nlp_transfer.encoders.sklearn_head.decisions import decisions, linear_layer, on_all_labels
from nlp_transfer.encoders.sklearn_head.fitting import fit_classifier
from nlp_transfer.errors import UserError

every_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_TREES", 20)
    monkeypatch.setattr(fitting, "_TREES_WHILE_CHOOSING", 20)


def blobs(counts: list[int], apart: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around one corner for each label."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    points = rng.normal(size=(len(labels), 6)).astype(np.float32)
    points[np.arange(len(labels)), labels] += apart
    return points, labels


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values - np.logaddexp.reduce(values, axis=1, keepdims=True))


@every_classifier
@pytest.mark.parametrize("labels", [2, 4])
def test_the_greatest_decision_is_the_prediction(name, labels):
    classifier, scale = fit_classifier(name, *blobs([40] * labels), seed=0)
    points, _ = blobs([60] * labels, seed=1)
    assert (classifier.classes_[decisions(classifier, points).argmax(axis=1)] == classifier.predict(points)).all()
    assert 0 < scale < 150


@every_classifier
def test_the_same_seed_gives_the_same_classifier(name):
    points, labels = blobs([30, 30, 30])
    first, second = (fit_classifier(name, points, labels, seed=3) for _ in range(2))
    assert first.scale == second.scale
    assert (decisions(first.classifier, points) == decisions(second.classifier, points)).all()


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "logistic"])
def test_the_scale_makes_unseen_labels_more_likely(name):
    classifier, scale = fit_classifier(name, *blobs([80, 80, 80], apart=1.5), seed=0)
    points, labels = blobs([200, 200, 200], apart=1.5, seed=1)
    values = decisions(classifier, points)
    assert log_loss(labels, softmax(scale * values)) < log_loss(labels, softmax(values)) + 0.02
    accuracy, sureness = (values.argmax(axis=1) == labels).mean(), softmax(scale * values).max(axis=1).mean()
    assert abs(accuracy - sureness) < 0.1


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("labels", [2, 3])
def test_a_linear_layer_decides_as_the_classifier(name, labels):
    points, ids = blobs([40] * labels)
    classifier, scale = fit_classifier(name, points, ids + 1, seed=0)  # label 0 has no row
    weight, bias = linear_layer(classifier, scale, labels + 2)
    logits = on_all_labels(scale * decisions(classifier, points.astype(float)), classifier.classes_, labels + 2)
    np.testing.assert_allclose(points @ weight.T + bias, logits, atol=1e-9)
    assert set(logits.argmax(axis=1)) == set(classifier.classes_)


@every_classifier
def test_rare_labels_are_learned_and_take_no_part_in_choosing(name, caplog):
    caplog.set_level("INFO", "nlp_transfer")
    classifier, _ = fit_classifier(name, *blobs([30, 30, 2, 1], apart=8.0), seed=0)
    assert list(classifier.classes_) == [0, 1, 2, 3]
    assert "Leaving labels with fewer than 3 items out of cross-validation." in caplog.text
    assert "on 60 items" in caplog.text


@every_classifier
@pytest.mark.parametrize("counts", [[1, 1], [2, 2], [5, 1]])
def test_too_few_rows_for_cross_validation_are_fitted_all_the_same(name, counts, caplog):
    caplog.set_level("INFO", "nlp_transfer")
    classifier, scale = fit_classifier(name, *blobs(counts, apart=8.0), seed=0)
    assert scale == 1
    assert "Too few labels have 3 items for cross-validation" in caplog.text
    assert len(classifier.predict(blobs(counts)[0])) == sum(counts)


@pytest.mark.filterwarnings("error")
def test_labels_of_hardly_a_row_each_are_not_warned_of_as_numbers():
    classifier, _ = fit_classifier("logistic", np.random.default_rng(0).normal(size=(30, 4)), np.arange(30), seed=0)
    assert len(classifier.classes_) == 30


def test_words_in_entities_are_what_counts(caplog):
    caplog.set_level("INFO", "nlp_transfer")
    points, labels = blobs([900, 20, 20], apart=1.5)
    told = {}
    for outside in (None, 0):
        classifier, _ = fit_classifier("logistic", points, labels, seed=0, outside=outside)
        told[outside] = classifier[-1].C, np.mean(classifier.predict(points) != 0)
    assert "F1 of words in entities 0." in caplog.text
    assert told[0][0] > told[None][0]  # hardly any is accurate already
    assert told[0][1] > told[None][1]


def test_many_items_are_sampled_by_label(monkeypatch, caplog):
    caplog.set_level("INFO", "nlp_transfer")
    monkeypatch.setattr(fitting, "_CHOSEN_ON", 60)
    monkeypatch.setattr(fitting, "_MOST_OF_AN_SVM", 100)
    classifier, _ = fit_classifier("svm", *blobs([300, 90, 10]), seed=0)
    assert "a stratified sample of 101 items" in caplog.text  # 75, 22.5 and 2.5, rounded up
    assert len(classifier[-1].support_) <= 101
    assert list(classifier.classes_) == [0, 1, 2]


def test_what_cannot_be_fitted_is_one_line():
    points, labels = blobs([5, 5])
    with pytest.raises(UserError, match="the same label"):
        fit_classifier("logistic", points, np.zeros_like(labels), seed=0)
    with pytest.raises(UserError, match="the same label"):
        fit_classifier("logistic", points, labels, 0, {1: 0.0})
    points[3, 2] = np.inf
    with pytest.raises(UserError, match="--mixed_precision no"):
        fit_classifier("logistic", points, labels, seed=0)
