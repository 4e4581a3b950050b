"""Which number is forecast, and what becomes of columns that hold something else."""

import numpy as np
import polars as pl
import pytest

from hashloom.data.target import Target, choose
from hashloom.types import Posts


def with_columns(**columns):
    rows = len(next(iter(columns.values())))
    return Posts.of(pl.DataFrame({"id": [str(i) for i in range(rows)], **columns}))


def test_numbers_in_texts_and_truths_are_read_and_what_is_none_is_unknown():
    posts = with_columns(score=[" 3", "", "seven"], shared=[True, False, None])
    assert Target.parse("score").values(posts)[0] == 2
    assert np.isnan(Target.parse("score").values(posts)[1:]).all()
    assert Target.parse("shared").values(posts)[:2].tolist() == [1, 0]


def test_a_column_of_texts_without_any_is_unknown():
    posts = with_columns(score=pl.Series([None, None], dtype=pl.String))
    assert np.isnan(Target.parse("score").values(posts)).all()


def test_auto_passes_over_a_column_of_words_and_a_named_one_is_refused():
    posts = with_columns(score=["good", "bad"], comments=[1.0, 3.0])
    assert str(choose("auto", posts)) == "comments"
    with pytest.raises(ValueError, match="not numbers; name another target"):
        choose("score", posts)


@pytest.mark.parametrize("number", [-5.0, 0.0, 1e300])
@pytest.mark.parametrize("exposure", [-5.0, 0.0, 1e300])
def test_any_number_and_exposure_gives_a_finite_target(number, exposure):
    posts = with_columns(likes=[number], views=[number], days=[exposure], user_followers=[exposure])
    for target in ("likes/user_followers", "views/days", "likes"):
        assert np.isfinite(Target.parse(target).values(posts)).all()


def test_what_is_infinite_or_unknown_is_not_learnt_from():
    posts = with_columns(likes=[1.0, float("inf"), 1.0, None], user_followers=[float("inf"), 2.0, None, 2.0])
    assert np.isnan(Target.parse("likes/user_followers").values(posts)).all()
    given = with_columns(popularity=[-1e300, 1e300, -5.0])
    assert np.isfinite(Target.parse("popularity").values(given)).tolist() == [False, False, True]
