"""Prints what the dial between relevance and attention costs: NDCG@10 beside the association of the first five tags.

    python tools/dial.py                                       # linear on the latest 10,000 posts of lobsters
    python tools/dial.py --recipe own-recency --latest 20000 --depth 15

Recommender and memory are of the training part (70 % by time), the posts asked of the validation part (the 10 % after
it). The last line says whether the associations held: the correlation, over these later posts, of the mean association
of a post's true tags with what the post got above its author's mean. The posts are looked for in ../shared/data; they
are real people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from result_tables import DATA

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.data.split import split
from hashloom.data.target import Target
from hashloom.evaluate.metrics import measure
from hashloom.explain.with_tags import associations, dialled
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.tags import key

if TYPE_CHECKING:
    from hashloom.forecaster import Forecaster
    from hashloom.types import Posts, Rankings

FIRST = 5


def run(recipe: str, name: str, latest: int, depth: int) -> None:
    """Train, turn the dial, print one line a step."""
    posts = read(DATA / name / "posts.parquet")[0].in_order()
    made = split(posts[-latest:] if latest else posts)
    model = catalogue.build(catalogue.recipe(recipe)["model"]).fit(made.train)
    forecaster = AuthorMean().fit(made.train)
    asked = made.validation.tagged()
    rankings = model.recommend(asked, depth)
    print(f"{recipe}, {name}: {len(made.train)} posts learnt from, {len(asked)} asked, {depth} suggestions each")
    print(f"dial  NDCG@10  mean association of the first {FIRST}")
    for dial in np.linspace(0, 1, 11).round(1).tolist():
        turned = dialled(rankings, asked, forecaster, dial)
        ndcg = measure(turned, asked.tags, ["ndcg@10"]).mean("ndcg@10")
        print(f"{dial:4.1f}   {ndcg:.4f}  {associated(turned, asked, forecaster):+.3f}", flush=True)
    print(f"correlation with what later posts got above their author's mean: {held(asked, forecaster):+.3f}")


def associated(rankings: Rankings, posts: Posts, forecaster: Forecaster) -> float:
    """The mean association of the first five suggestions, over all posts, on the forecaster's scale."""
    known = associations(forecaster)
    pairs = zip(posts.communities, rankings, strict=True)
    return float(np.mean([known.of(c, key(tag)).value for c, row in pairs for tag in row.tags[:FIRST]]))


def held(posts: Posts, forecaster: Forecaster) -> float:
    """The correlation of a post's mean association (true tags) with its number less its forecast."""
    known = associations(forecaster)
    said = [np.mean([known.of(c, key(tag)).value for tag in row]) for c, row in zip(posts.communities, posts.tags)]
    over = Target.parse(forecaster.target_).values(posts) - forecaster.forecast(posts).values
    some = np.isfinite(over)
    return float(np.corrcoef(np.array(said)[some], over[some])[0, 1])


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="linear", help="the recommender's recipe (default: linear)")
    parser.add_argument("--posts", default="lobsters", help="a set of ../shared/data (default: lobsters)")
    parser.add_argument("--latest", type=int, default=10_000, help="so many posts, the latest; 0: all")
    parser.add_argument("--depth", type=int, default=10, help="suggestions asked for, which the dial re-orders")
    given = parser.parse_args()
    run(given.recipe, given.posts, given.latest, given.depth)


if __name__ == "__main__":
    main()
