"""TAGNet: picture, text and habit look at each other, and a post at earlier ones like it (Chen et al., TCSVT 2021).

A reconstruction (models §6): neither equations nor code of the paper are public.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hashloom.data.history import History
from hashloom.encoders._reading import Reading
from hashloom.recommender import Gone, hashed
from hashloom.recommenders._multimodal import Mined, Multimodal, habit, training, without
from hashloom.recommenders._neighbours import Edges, Nodes, convolve, edges, gather
from hashloom.selections._selection import Selection
from hashloom.selections.fixed import Fixed
from hashloom.types import Count, Posts, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


class _Learnt:
    graph_: dict[str, Any]
    """The graph's nodes by hash of their id, what neighbours read of them, and the convolution's weights."""


@dataclass
class Tagnet(_Learnt, Multimodal):
    """Each post is a node in a graph of posts with like pictures, and hears its neighbours' nodes.

    Neighbours are earlier training posts of the same community; their tags are not read, other than as the habit of
    their authors. A post without a picture, or without an earlier one like it, hears itself alone.

    >>> from hashloom.types import Post, Posts
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Tagnet(width=16, image=None, graph="text").fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    bce: ClassVar[bool] = True

    selection: Selection | None = field(default_factory=Fixed)
    """Which earlier posts of the author are remembered; none: no habit."""
    graph: Literal["image", "text", "none"] = "image"
    """Neighbours have like pictures or like texts; none: no post has neighbours."""
    neighbours: Count = 10
    """So many neighbours are heard."""
    triplet: bool = True
    """Whether picture, text and habit look at each other before they become a node."""

    def _selection(self) -> Selection | None:
        return self.selection

    def uses_history(self) -> bool:
        """For the habit, and to know which posts are earlier."""
        return self.graph != "none" or super().uses_history()

    def _plan(self) -> dict[str, Any]:
        return {
            "interaction": "own",
            "inner": self.inner,
            "triplet": True,
            "nodes": True,
            "dropout": self.dropout,
            "blank": self.blank,
        } | habit(self.selection)

    def _fit(self, posts: Posts) -> None:
        training()  # sets what must be set before torch is imported
        importlib.import_module("hashloom.recommenders._tagnet_training").learn(self, posts)

    def _forget(self, gone: Gone) -> None:
        super()._forget(gone)
        self.graph_ = without(self.graph_, gone.all.ids, "looks", "tables")
        self.__dict__.pop("_meshed", None)

    def looks(self, reading: Reading) -> Floats:
        """The vectors by which posts are neighbours; (posts, dim)."""
        return reading.looks[:, : reading.split] if self.graph == "text" else reading.looks[:, reading.split :]

    def _ask(self, posts: Posts, mined: Mined, history: History) -> tuple[Floats, tuple[Any, Floats] | None]:
        remembered = None
        if self.selection is None:
            (nodes,) = self._asker.run(None, {"post": mined.post})
        else:
            nodes, remembered = super()._ask(posts, mined, history)
        found, _ = self._near(posts, mined.reading, history)
        graph: Mapping[str, Any] = self.graph_
        asked = convolve(graph["weights"], graph["biases"], nodes, gather(graph["tables"], found), found.own)
        return asked, remembered

    def _near(self, posts: Posts, reading: Reading, history: History) -> tuple[Edges, NDArray[np.int64]]:
        """Edges from the asked posts to the graph's nodes, and the row in the history of each node (-1: none)."""
        node, rows, known = self._mesh(history)
        row_of = np.full(len(self.graph_["ids"]), -1)
        row_of[node] = rows
        if not len(known.looks):
            return Edges.none(len(posts), 0), row_of
        asked = Nodes(self.looks(reading), history.moments_of(posts), posts.communities)
        found = edges(asked, known, self.neighbours)
        return Edges(node[found.near], found.shares, found.own), row_of

    def _mesh(self, history: History) -> tuple[NDArray[np.int64], NDArray[np.int64], Nodes]:
        """The nodes that a history holds: numbers, rows, and what a graph sees of them."""
        made = self.__dict__.get("_meshed")
        if made is None or made[0] is not history:
            ids, given = self.graph_["ids"], hashed(history.posts.ids)
            at = np.minimum(np.searchsorted(ids, given), max(0, len(ids) - 1))
            rows = np.flatnonzero(ids[at] == given) if len(ids) else np.zeros(0, np.int64)
            names, node = history.posts.communities, at[rows].astype(np.int64)
            looks = np.asarray(self.graph_["looks"][node], np.float32)
            known = Nodes(looks, history.moments[rows], [names[row] for row in rows.tolist()])
            made = self.__dict__["_meshed"] = (history, (node, rows, known))
        return made[1]

    def _reasons(
        self,
        posts: Posts,
        mined: Mined,
        habit: tuple[Any, Floats] | None,
        history: History,
        lists: list[list[tuple[str, float]]],
    ) -> list[list[tuple[Reason, ...]]]:
        why = super()._reasons(posts, mined, habit, history, lists)
        found, row_of = self._near(posts, mined.reading, history)
        for i, row in enumerate(why):
            heard = [(int(n), float(s)) for n, s in zip(found.near[i, :3], found.shares[i, :3], strict=True) if s > 0]
            said = tuple(Reason("neighbour", history.posts.ids[row_of[n]], share) for n, share in heard)
            why[i] = [given + said for given in row]
        return why
