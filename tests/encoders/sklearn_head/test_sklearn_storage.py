"""A classifier comes back as it was, and a file that holds anything else is refused in one line."""

from __future__ import annotations

import fractions
import sys

import numpy as np
import pytest
import skops.io
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

import nlp_transfer as nt
from nlp_transfer.encoders.sklearn_head import fitting
from nlp_transfer.encoders.sklearn_head.classifiers import CLASSIFIERS, LINEAR
from nlp_transfer.encoders.sklearn_head.decisions import decisions
from nlp_transfer.encoders.sklearn_head.sklearn_storage import CLASSIFIER_FILE, load_classifier, save_classifier
from nlp_transfer.errors import ModelError, OptionError
from nlp_transfer.strategies.features import Features

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 8)).astype(np.float32)
LABELS = np.arange(60) % 3
FEATURES[np.arange(60), LABELS] += 3

NOT_LINEAR = [name for name in CLASSIFIERS if name not in LINEAR]


@pytest.fixture(scope="module")
def fitted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_TREES", 5)
        patch.setattr(fitting, "_TREES_WHILE_CHOOSING", 5)
        return {name: fitting.fit_classifier(name, FEATURES, LABELS, seed=0).classifier for name in NOT_LINEAR}


@pytest.fixture
def forest(fitted, tmp_path):
    """A forest of its own, that a test may damage."""
    save_classifier(fitted["random_forest"], tmp_path)
    return load_classifier(tmp_path / CLASSIFIER_FILE)


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_classifier_comes_back_as_it_was(fitted, tmp_path, name):
    save_classifier(fitted[name], tmp_path)
    again = load_classifier(tmp_path / CLASSIFIER_FILE)
    assert (decisions(again, FEATURES) == decisions(fitted[name], FEATURES)).all()
    assert set(skops.io.get_untrusted_types(file=tmp_path / CLASSIFIER_FILE)) <= {"sklearn.tree._tree.Tree"}


def refused(classifier: object, folder) -> str:
    path = folder / CLASSIFIER_FILE
    skops.io.dump(classifier, path)
    with pytest.raises(ModelError) as refusal:
        load_classifier(path)
    assert str(path) in str(refusal.value)
    return str(refusal.value)


def test_unknown_types_are_named_and_not_loaded(fitted, tmp_path):
    svm = fitted["svm"]
    assert "fractions.Fraction" in refused({"svm": svm, "more": fractions.Fraction(1, 2)}, tmp_path)


def test_known_types_that_are_no_classifier_of_ours_are_not_loaded(tmp_path):
    other = make_pipeline(GaussianNB()).fit(FEATURES, LABELS)
    for stranger in (other, other[-1], {"a": 1}, make_pipeline(*([other] * 2))):
        assert "holds no classifier that nlp_transfer could have saved" in refused(stranger, tmp_path)


@pytest.mark.parametrize(("field", "value"), [("left_child", 10**6), ("right_child", 0), ("feature", 8)])
def test_a_tree_that_points_out_of_its_arrays_is_not_loaded(forest, tmp_path, field, value):
    tree = forest[-1].estimators_[-1].tree_
    state = tree.__getstate__()
    assert state["nodes"]["left_child"][0] != -1
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    assert "holds no classifier that nlp_transfer could have saved" in refused(forest, tmp_path)


def test_arrays_that_do_not_fit_together_are_not_loaded(fitted, tmp_path):
    save_classifier(fitted["svm"], tmp_path)
    for damage in ("_dual_coef_", "support_vectors_", "_intercept_"):
        svm = load_classifier(tmp_path / CLASSIFIER_FILE)
        setattr(svm[-1], damage, getattr(svm[-1], damage)[:1])
        (tmp_path / damage).mkdir()
        assert "holds no classifier that nlp_transfer could" in refused(svm, tmp_path / damage)
    save_classifier(fitted["knn"], tmp_path)
    knn = load_classifier(tmp_path / CLASSIFIER_FILE)
    knn[-1]._y[0] = 3
    assert "holds no classifier that nlp_transfer could" in refused(knn, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / CLASSIFIER_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="is damaged"):
        load_classifier(tmp_path / CLASSIFIER_FILE)


def test_a_folder_without_the_file_is_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"lacks classifier\.skops"):
        load_classifier(tmp_path / CLASSIFIER_FILE)


def test_a_refusal_reaches_the_user_in_these_words(checkpoint, review_splits, options, tmp_path):
    model = nt.TransferModel.load(checkpoint("bert"), nt.TextClassificationHead(["complaint", "praise"]))
    nt.fit(model, review_splits, options, strategy=Features("knn"))
    model.save(tmp_path)
    skops.io.dump(fractions.Fraction(1, 2), tmp_path / CLASSIFIER_FILE)
    with pytest.raises(ModelError, match=r"holds types that no classifier of nlp_transfer has.*fractions\.Fraction\.$"):
        nt.TransferModel.load(tmp_path)


def test_without_skops_it_says_what_to_install(checkpoint, review_splits, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    model = nt.TransferModel.load(checkpoint("bert"), nt.TextClassificationHead(["complaint", "praise"]))
    with pytest.raises(OptionError, match=r'pip install "nlp-transfer\[features\]"'):
        nt.fit(model, review_splits, options, strategy=Features("svm"))
    nt.fit(model, review_splits, options, strategy=Features("logistic"))
