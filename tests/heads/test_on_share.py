"""The head of a share of the rows knows no more of them than the share shows."""

from __future__ import annotations

import json

import pytest

import nlp_transfer as nt
from nlp_transfer.data.fractions import nested_share


def splits_of(labels, problem, folder):
    rows = [{"text": f"word {place} of many", "label": label} for place, label in enumerate(labels)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return nt.load_splits(nt.DataOptions(train_file=str(folder / "rows.jsonl"), problem=problem), "classification")


@pytest.mark.parametrize("way", ["balanced", "effective_number"])
@pytest.mark.parametrize("problem", ["single_label", "multi_label"])
def test_weights_are_those_of_the_share_in_the_same_way(problem, way, tmp_path):
    labels = (["a"] * 8 + ["b"]) * 10 + ["c"]
    splits = splits_of(labels if problem == "single_label" else [[x] for x in labels], problem, tmp_path)
    head = nt.text_head_for(splits, class_weights=way)
    share = nested_share(splits.train, 0.3, 0)
    weights = head.on_share(splits.train, share).class_weights
    assert set(weights) == set(head.labels)
    assert weights != head.class_weights
    assert head.on_share(splits.train, splits.train).class_weights == pytest.approx(head.class_weights)
    mine = type(head)(list(head.labels), class_weights=dict.fromkeys(head.labels, 2.0))
    assert mine.on_share(splits.train, share).class_weights == mine.class_weights


def test_a_number_is_scaled_by_the_share_alone(tmp_path):
    splits = splits_of([float(place**2) for place in range(60)], "regression", tmp_path)
    head = nt.text_head_for(splits)
    share = nested_share(splits.train, 0.2, 0)
    of_share = head.on_share(splits.train, share)
    assert of_share.mean == pytest.approx(sum(share.data["label"]) / len(share.data))
    assert of_share.mean != head.mean
    assert of_share.deviation != head.deviation
