"""The author's mean: intervals of the form that does not look at later posts."""

from hashloom.forecasters.author_mean import AuthorMean
from hashloom.types import Post, Posts


def test_what_is_not_looked_at_later_is_not_looked_at_for_the_intervals():
    """A newcomer's 40 late posts get 9: whoever looks at them misses the first alone, HisAve all."""
    rows = [Post(f"m{i}", user="mo", popularity=float(i % 2)) for i in range(60)]
    rows += [Post(f"n{i}", user="new", popularity=9.0) for i in range(40)]
    frozen = AuthorMean(prior=0, expanding=False, held=0.4).fit(Posts.of(rows))
    looking = AuthorMean(prior=0, held=0.4).fit(Posts.of(rows))
    assert looking.intervals_["high"][0] < 2
    assert frozen.intervals_["high"][0] > 8
