"""Conformal intervals: coverage of further posts, by group, with few and with odd numbers."""

import numpy as np
import pytest

from hashloom.data.intervals import Intervals


@pytest.mark.parametrize("posts", [19, 40, 150])
def test_a_further_post_lies_inside_as_often_as_stated(posts):
    draw = np.random.default_rng(0)
    inside = []
    for _ in range(1500):
        missed = draw.exponential(size=posts + 20) - 1
        made = Intervals.learn(missed[:posts], np.ones(posts), np.zeros(posts), 0.9)
        low, high = made.around(np.zeros(20), np.ones(20), np.zeros(20))
        inside.append(np.mean((low <= missed[posts:]) & (missed[posts:] <= high)))
    assert 0.893 < np.mean(inside) < 0.9 + 3 / (posts + 1)


def test_each_group_has_its_own_and_a_small_one_that_of_all():
    draw = np.random.default_rng(1)
    earlier = np.repeat([0, 3, 10], [500, 500, 50])
    missed = draw.normal(size=1050) * np.where(earlier == 0, 4, 1)
    made = Intervals.learn(missed, np.ones(1050), earlier, 0.9)
    widths = np.subtract(made.high, made.low)
    assert widths[0] > 3 * widths[1]
    assert widths[1] < widths[2] == widths[3] < widths[0]


def test_width_follows_the_spread():
    missed = np.linspace(-1, 1, 201) * np.tile([1.0, 5.0, 5.0], 67)
    made = Intervals.learn(missed, np.tile([1.0, 5.0, 5.0], 67), np.zeros(201), 0.9)
    low, high = made.around(np.zeros(2), np.array([1.0, 5.0]), np.zeros(2))
    assert (high - low)[1] == pytest.approx(5 * (high - low)[0])


def test_no_post_gives_no_width_and_few_the_extremes():
    assert Intervals.learn(np.zeros(0), np.zeros(0), np.zeros(0), 0.9).high == [0.0] * 4
    made = Intervals.learn(np.array([-2.0, 3.0]), np.ones(2), np.zeros(2), 0.9)
    assert (made.low[0], made.high[0]) == (-2, 3)
