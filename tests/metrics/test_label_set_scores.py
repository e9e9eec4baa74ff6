"""Scores of sets of labels agree with scikit-learn."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from nlp_transfer.metrics import multi_label_scores

LEVELS = ["low", "mid", "high", "top"]


SETS = st.lists(
    st.tuples(*(st.sets(st.sampled_from(LEVELS)).map(sorted) for _ in range(2)), st.lists(st.floats(0, 1), min_size=4)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(SETS)
def test_sets_of_labels_score_as_scikit_learn_says(rows):
    predicted, expected, ranking = [p for p, _, _ in rows], [e for _, e, _ in rows], [r[:4] for *_, r in rows]
    scores = multi_label_scores(predicted, expected, LEVELS, ranking)
    marks = [[[int(name in row) for name in LEVELS] for row in side] for side in (expected, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("micro", "macro", "weighted"):
            assert scores[f"{average}_f1"] == pytest.approx(sk.f1_score(*marks, average=average, zero_division=0))
        assert scores["hamming_loss"] == pytest.approx(sk.hamming_loss(*marks))
        assert scores["lrap"] == pytest.approx(sk.label_ranking_average_precision_score(marks[0], ranking))
    by_row = [2 * len({*p} & {*e}) / (len(p) + len(e)) if p or e else 1.0 for p, e, _ in rows]
    assert scores["samples_f1"] == pytest.approx(sum(by_row) / len(by_row))
    assert scores["exact_match"] == pytest.approx(sum(p == e for p, e, _ in rows) / len(rows))


def test_a_set_with_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match="label 'x' is not one of the 4 labels"):
        multi_label_scores([["x"]], [["low"]], LEVELS, [[0.0] * 4])
