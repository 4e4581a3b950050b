"""Hashloom suggests hashtags for a post from its text, picture, author, community and moment, and forecasts its fate.

Each name below is loaded when first used, so that ``import hashloom`` costs nothing.

>>> from hashloom import Post, Posts, build
>>> posts = Posts.of([Post("a", "rye loaf", community="bakers", tags=("Rye",)), Post("b", "rye", community="bakers")])
>>> build({"model": "popular"}).fit(posts).recommend(posts[1:])[0].tags
['Rye']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashloom.catalogue import UnknownName as UnknownName
    from hashloom.catalogue import build as build
    from hashloom.catalogue import names as names
    from hashloom.catalogue import recipe as recipe
    from hashloom.data.describe import describe as describe
    from hashloom.data.history import History as History
    from hashloom.data.read import BadInput as BadInput
    from hashloom.data.read import import_posts as import_posts
    from hashloom.data.read import read as read
    from hashloom.data.read import write as write
    from hashloom.data.split import Split as Split
    from hashloom.data.split import split as split
    from hashloom.evaluate.metrics import measure as measure
    from hashloom.evaluate.protocol import compare as compare
    from hashloom.evaluate.protocol import train as train
    from hashloom.evaluate.report import report as report
    from hashloom.forecaster import Forecaster as Forecaster
    from hashloom.keeping import DamagedModel as DamagedModel
    from hashloom.recommender import Recommender as Recommender
    from hashloom.recommender import load as load
    from hashloom.tag_space import TagSpace as TagSpace
    from hashloom.tag_space import TagSpaces as TagSpaces
    from hashloom.types import Forecasts as Forecasts
    from hashloom.types import Post as Post
    from hashloom.types import Posts as Posts
    from hashloom.types import Rankings as Rankings
    from hashloom.types import Reason as Reason
    from hashloom.types import Scores as Scores
    from hashloom.types import Suggestion as Suggestion

__version__ = "0.1.0"

_HOMES = {
    "catalogue": ("UnknownName", "build", "names", "recipe"),
    "data.describe": ("describe",),
    "data.history": ("History",),
    "data.read": ("BadInput", "import_posts", "read", "write"),
    "data.split": ("Split", "split"),
    "evaluate.metrics": ("measure",),
    "evaluate.protocol": ("compare", "train"),
    "evaluate.report": ("report",),
    "forecaster": ("Forecaster",),
    "keeping": ("DamagedModel",),
    "recommender": ("Recommender", "load"),
    "tag_space": ("TagSpace", "TagSpaces"),
    "types": ("Forecasts", "Post", "Posts", "Rankings", "Reason", "Scores", "Suggestion"),
}

__all__ = [
    "BadInput",
    "DamagedModel",
    "Forecaster",
    "Forecasts",
    "History",
    "Post",
    "Posts",
    "Rankings",
    "Reason",
    "Recommender",
    "Scores",
    "Split",
    "Suggestion",
    "TagSpace",
    "TagSpaces",
    "UnknownName",
    "build",
    "compare",
    "describe",
    "import_posts",
    "load",
    "measure",
    "names",
    "read",
    "recipe",
    "report",
    "split",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'hashloom' has no attribute {name!r}")
    value = getattr(import_module(f"hashloom.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
