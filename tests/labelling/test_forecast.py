"""Forecasts follow the curve: they hold on power laws, grow wide with few rows, and say where no point is in sight."""

from __future__ import annotations

import numpy as np
import pytest

from nlp_transfer.labelling.forecast import AHEAD, POINT, forecast
from nlp_transfer.labelling.learning_curve import Curve
from nlp_transfer.labelling.texts_to_label import CHECK_SHARE


def law(rows, level, floor, speed):
    return level * (floor + (1 - floor) * rows**-speed)


def drawn(rows, check, seed, level=1.2, floor=0.1, speed=0.35, harder=1.8):
    """A curve whose errors follow a power law; rows that were picked are harder than others."""
    random = np.random.default_rng(seed)
    sizes = np.array([rows // 8, rows // 4, rows // 2, rows])
    wrong = law(sizes, level, floor, speed)

    def some(count, of):
        """Rows each with a threshold of its own, so that it is wrong up to some size."""
        return (random.uniform(size=(count, 1)) >= np.minimum(of, 0.95)).astype(float)

    return Curve(sizes, some(rows, harder * wrong), some(check, wrong))


def test_forecasts_hold_about_as_often_as_they_say():
    held, gains = [], []
    for seed in range(60):
        rows = int(np.random.default_rng(seed).choice([100, 200, 400]))
        level, floor, speed = 1.2, 0.1, 0.35
        future = forecast(drawn(rows, rows // 9, seed), seed)
        now = law(rows, level, floor, speed)
        needed = ((((now - POINT) / level - floor) / (1 - floor)) ** (-1 / speed) - rows) / (1 - CHECK_SHARE)
        held.append(future.low <= needed <= (future.high or np.inf))
        gain = now - law(rows + AHEAD * (1 - CHECK_SHARE), level, floor, speed)
        gains.append(future.gain.low <= gain <= future.gain.high)
    assert np.mean(held) >= 0.8
    assert np.mean(gains) >= 0.8


def test_a_curve_that_is_flat_is_a_place_to_stop():
    flat = Curve(
        np.array([50, 100, 200, 400]), *(np.tile(np.arange(n)[:, None] % 5 > 0, (1, 4)) * 1.0 for n in (400, 45))
    )
    steep = drawn(400, 45, 0, floor=0.0, speed=0.6, level=6.0)
    assert forecast(flat).gain.score < 0.005 < forecast(steep).gain.score
    assert forecast(flat).high is None or forecast(flat).high > 1000


def test_the_interval_holds_the_forecast_and_numbers_are_round():
    for rows in (16, 60, 500):
        future = forecast(drawn(rows, max(1, rows // 9), 1))
        numbers = [part if part is not None else 10**9 for part in (future.low, future.rows, future.high)]
        assert numbers == sorted(numbers)
        assert all(len(str(part).rstrip("0")) <= 2 for part in numbers)
        assert future.gain.low <= future.gain.score <= future.gain.high
        assert 0 <= future.share.low <= future.share.high <= 1


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_rows_that_are_all_right_or_all_wrong_have_a_forecast(right):
    future = forecast(Curve(np.array([4, 8, 16, 32]), np.full((32, 4), right), np.full((3, 4), right)))
    assert np.isfinite(future.gain).all()


def test_without_rows_to_check_the_others_tell():
    curve = drawn(100, 9, 0)
    assert forecast(curve._replace(check=curve.check[:0])) is not None
    assert forecast(Curve(np.array([12]), np.ones((12, 1)), np.ones((1, 1)))) is None


def test_the_same_seed_gives_the_same_forecast():
    assert forecast(drawn(100, 9, 0), 3) == forecast(drawn(100, 9, 0), 3)
