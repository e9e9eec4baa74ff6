"""Scores of numbers agree with SciPy and scikit-learn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics as sk

from nlp_transfer.metrics import regression_scores

eighths = st.integers(-1000, 1000).map(lambda n: n / 8)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(eighths, eighths), min_size=2, max_size=20))
def test_numbers_score_as_scipy_and_scikit_learn_say(rows):
    predicted, expected = [p for p, _ in rows], [e for _, e in rows]
    scores = regression_scores(predicted, expected)
    assert scores["mse"] == pytest.approx(sk.mean_squared_error(expected, predicted))
    assert scores["mae"] == pytest.approx(sk.mean_absolute_error(expected, predicted))
    if len(set(predicted)) > 1 and len(set(expected)) > 1:
        assert scores["pearson"] == pytest.approx(pearsonr(predicted, expected).statistic, abs=1e-9)
        assert scores["spearman"] == pytest.approx(spearmanr(predicted, expected).statistic, abs=1e-9)
    else:
        assert scores["pearson"] == scores["spearman"] == 0.0
