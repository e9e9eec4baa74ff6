"""Labels that hold at once: a threshold each, fitted to validation rows alone, and rows without any label."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import BAD, GOOD, THINGS
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

import nlp_transfer as nt
from nlp_transfer.heads.multilabel import best_threshold


def logits(probabilities):
    p = np.array(probabilities, dtype=np.float64)
    return [np.log(row / (1 - row))[None].astype(np.float32) for row in p]


def test_a_label_is_there_from_its_threshold_on():
    head = nt.MultiLabelHead(["a", "b"], thresholds={"b": 0.2})
    both, one, none = head.decode(logits([[0.6, 0.3], [0.4, 0.25], [0.4, 0.1]]), {})
    assert (both.labels, one.labels, none.labels) == (("a", "b"), ("b",), ())
    assert both.probabilities == pytest.approx({"a": 0.6, "b": 0.3}, abs=1e-6)
    assert vars(nt.MultiLabelHead(**head.options())) == vars(head)


rows_of_probabilities = st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(rows_of_probabilities.filter(lambda rows: any(there for _, there in rows)))
def test_no_threshold_has_a_better_f1(rows):
    probabilities, there = np.array([p for p, _ in rows]), np.array([mark for _, mark in rows])
    f1 = f1_score(there, probabilities >= best_threshold(probabilities, there))
    assert f1 == pytest.approx(max(f1_score(there, probabilities >= cut) for cut in probabilities))


def test_tuning_leaves_a_label_alone_that_no_row_has():
    head = nt.MultiLabelHead(["a", "b"])
    head.tune(logits([[0.3, 0.9], [0.2, 0.8], [0.1, 0.1]]), {"label": [["a"], ["a"], []]})
    assert head.thresholds == {"a": pytest.approx(0.15, abs=1e-6), "b": 0.5}


def test_targets_and_scores_of_rows_without_labels():
    head = nt.MultiLabelHead(["a", "b"])
    assert head.targets([["b"], [], ["b", "a"]]) == [[[0.0, 1.0]], [[0.0, 0.0]], [[1.0, 1.0]]]
    with pytest.raises(nt.DataError, match="the data has a label 'c' that the head lacks"):
        head.targets([["c"]])
    scores = head.evaluate(logits([[0.1, 0.9], [0.2, 0.1], [0.9, 0.9]]), {"label": [["b"], [], ["a", "b"]]})
    assert {scores[name] for name in ("micro_f1", "macro_f1", "samples_f1", "lrap", "exact_match")} == {1.0}
    assert (scores["hamming_loss"], head.best_metric in scores) == (0.0, True)


@pytest.fixture
def several(tmp_path):
    """A text may be praise, about a thing of travel, both or neither."""
    lines = []
    for i in range(96):
        thing, words = THINGS[i % 8], (GOOD, BAD)[i // 3 % 2]
        labels = ["praise"] * (words is GOOD) + ["travel"] * (thing in ("train", "hotel", "street"))
        lines.append(json.dumps({"text": f"the {thing} was {words[i % 8]} and {words[i // 2 % 8]}", "label": labels}))
    for name, part in {"train": lines[:64], "validation": lines[64:80], "test": lines[80:]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(part))
    return nt.load_splits(
        nt.DataOptions(**{f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "validation", "test")}),
        "classification",
    )


@pytest.mark.parametrize("strategy", ["full", "features"])
def test_a_run_learns_several_labels_and_keeps_its_thresholds(several, checkpoint, options, tmp_path, strategy):
    nt.set_seed(0)
    head = nt.text_head_for(several, class_weights="balanced")
    model = nt.TransferModel.load(checkpoint(), head)
    options.num_train_epochs = 12
    nt.fit(model, several, options, strategy=strategy)
    assert any(threshold != 0.5 for threshold in model.head.thresholds.values())
    predictions = model.predict(several.test.data["text"][:], precision="no")
    pairs = zip(predictions, several.test.data["label"], strict=True)
    assert np.mean([set(prediction.labels) == set(gold) for prediction, gold in pairs]) > 0.5
    model.save(tmp_path / "saved")
    again = nt.TransferModel.load(tmp_path / "saved")
    assert again.head.thresholds == model.head.thresholds
    texts = several.test.data["text"][:]
    assert [p.labels for p in again.predict(texts, precision="no")] == [p.labels for p in predictions]


@pytest.mark.parametrize("classifier", ["svm", "knn", "random_forest"])
def test_a_classifier_that_gives_one_label_is_refused(several, checkpoint, options, classifier):
    model = nt.TransferModel.load(checkpoint(), nt.text_head_for(several))
    with pytest.raises(nt.OptionError, match=f"--classifier {classifier} gives a text one label"):
        nt.fit(model, several, options, strategy=nt.strategy_named("features", classifier=classifier))
