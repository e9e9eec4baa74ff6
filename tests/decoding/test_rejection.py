"""How unlike training a text is, by formulas that others have computed too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.special import logsumexp

import nlp_transfer as nt
from nlp_transfer.decoding import LabelDecoder
from nlp_transfer.decoding.rejection import Gaussians, Rejection, decoded, energies

RANDOM = np.random.default_rng(0)
STATES = RANDOM.normal(size=(50, 6)) @ RANDOM.normal(size=(6, 6)) + 100
MEANS = np.stack([STATES[:25].mean(axis=0), STATES[25:].mean(axis=0)])
COVARIANCE = np.cov(STATES.T)


def whitening() -> np.ndarray:
    values, vectors = np.linalg.eigh(COVARIANCE)
    return vectors / np.sqrt(values)


def test_a_distance_is_that_to_the_nearest_mean():
    inverse = np.linalg.inv(COVARIANCE)
    expected = [min(mahalanobis(state, mean, inverse) ** 2 for mean in MEANS) for state in STATES]
    assert Gaussians(MEANS, whitening()).distances(STATES) == pytest.approx(expected, rel=1e-6)


def test_an_energy_is_minus_the_log_of_the_sum_and_does_not_overflow():
    logits = RANDOM.normal(size=(20, 5)) * 3
    assert energies(logits) == pytest.approx(-logsumexp(logits, axis=1))
    assert np.isfinite(energies(np.array([[5000.0, -5000.0]], np.float32))).all()


@pytest.mark.parametrize("method", ["mahalanobis", "energy"])
def test_it_comes_back_as_it_was(tmp_path, method):
    gaussians = [Gaussians(MEANS, whitening()), Gaussians(MEANS[:1], 0.1 * whitening())] * (method == "mahalanobis")
    rejection = Rejection(method, 12.5, *gaussians, findings={"rows": 3})
    rejection.save(tmp_path / "rejection.npz")
    again = Rejection.load(tmp_path / "rejection.npz")
    assert (again.method, again.threshold, again.findings) == (method, 12.5, {"rows": 3})
    logits, states = STATES[:, :3], STATES
    assert np.array_equal(again.scores(logits, states), rejection.scores(logits, states))
    (tmp_path / "rejection.npz").write_bytes((tmp_path / "rejection.npz").read_bytes()[:50])
    with pytest.raises(
        nt.ModelError, match=r"rejection.npz is damaged; train again, or remove it to predict without\.$"
    ):
        Rejection.load(tmp_path / "rejection.npz")


def test_predictions_say_whether_their_text_is_known_and_else_are_as_without():
    decoder = LabelDecoder(("no", "yes"))
    near, far = MEANS[0], MEANS[0] + 1000
    rejection = Rejection("mahalanobis", 5.0, Gaussians(MEANS, whitening()), Gaussians(MEANS[:1], 0.1 * whitening()))
    windows = [np.concatenate([[0.0, 2.0], state])[None] for state in (near, far)]
    windows.append(np.stack([np.concatenate([[0.0, 2.0], state]) for state in (near, near)]))  # two windows
    marked = decoded(decoder, windows, {}, rejection)
    assert [one.known for one in marked] == [True, False, True]
    plain = decoded(decoder, [one[:, :2] for one in windows], {}, None)
    assert [one.known for one in plain] == [None, None, None]
    assert [(one.label, one.probabilities) for one in marked] == [(one.label, one.probabilities) for one in plain]
    by_energy = decoded(decoder, [np.array([[9.0, 0.0]]), np.array([[0.1, 0.0]])], {}, Rejection("energy", -5.0))
    assert [one.known for one in by_energy] == [True, False]


def test_only_a_model_that_can_tell_has_the_column():
    for known, column in ((None, {}), (True, {"known": True}), (False, {"known": False})):
        line = nt.Prediction("a", 0.9, {}, known=known).output(all_probabilities=False, abstains=False)
        assert line == {"label": "a", "probability": 0.9} | column
