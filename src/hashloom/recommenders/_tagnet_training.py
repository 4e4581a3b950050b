"""Learning of TAGNet: the graph of training posts, refreshed once an epoch, around the training all models share.

Edges come from strictly earlier posts. A later post would bring, in the habit of its author, the asked post's own tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hashloom.networks import training
from hashloom.networks.export import to_onnx
from hashloom.networks.graph import AggregatedGraphConvolution, TripletAttention
from hashloom.networks.tagger import Tagger
from hashloom.recommender import hashed
from hashloom.recommenders import _multimodal_training as shared
from hashloom.recommenders._neighbours import Edges, Nodes, edges
from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.recommenders.tagnet import Tagnet

    Ints = NDArray[np.int64]


def learn(model: Tagnet, posts: Posts) -> None:
    """Set all that ``model`` learns."""
    shared.learn(model, posts, GraphWork)


class GraphWork(shared.Work):
    """A training in which posts hear their neighbours."""

    model: Tagnet

    def __post_init__(self) -> None:
        super().__post_init__()
        n, k = len(self.posts), self.model.neighbours
        self.edges = Edges.none(n, k)
        if self.model.graph != "none":
            looks = self.model.looks(self.data.reading)
            nodes = Nodes(looks, self.data.history.moments, self.posts.communities)
            self.edges = edges(nodes, nodes, k)
        found = (self.edges.near, self.edges.shares, self.edges.own)
        self.near, self.shares, self.own = (torch.from_numpy(x).to(self.place) for x in found)

    def network(self, rows: Ints) -> Tagger:
        """The network before any training, with the graph's convolution."""
        tagger = super().network(rows)
        tagger.graph = AggregatedGraphConvolution(self.model.width).to(self.place)
        triplet_of(tagger).attend = self.model.triplet
        return tagger

    def refresh(self, tagger: Tagger, everything: bool = False) -> None:
        """Vectors and nodes of all posts with the weights of now, and what neighbours hear of them."""
        learning = tagger.training
        tagger.to(self.place).eval()
        n, width = len(self.posts), self.model.width
        post, self.bank = torch.zeros(n, 2 * width, device=self.place), torch.zeros(n, width, device=self.place)
        order = np.argsort(self.data.lengths(), kind="stable")
        with torch.no_grad():
            for rows in (order[at : at + shared.CHUNK] for at in range(0, n, shared.CHUNK)):
                post[rows], self.bank[rows] = tagger(*self.data.inputs(rows, self.place))[:2]
            chunks = [np.arange(at, min(n, at + shared.CHUNK)) for at in range(0, n, shared.CHUNK)]
            nodes = torch.cat([self._node(tagger, post[rows], rows) for rows in chunks])
        self.tables, self.sums = graph_of(tagger).spread(nodes, self.near, self.shares, self.own)
        tagger.train(learning)

    def _node(self, tagger: Tagger, post: Tensor, rows: Ints) -> Tensor:
        """The nodes of posts whose memories are read from the bank."""
        memory = self.data.memory
        if memory is None:
            return Alone(tagger)(post)[0]
        chosen = memory.rows[rows]
        present = torch.from_numpy(chosen >= 0).to(self.place)
        past = self.bank[torch.from_numpy(np.maximum(chosen, 0)).to(self.place)] * present.unsqueeze(2)
        tags, facts = (torch.from_numpy(x[rows]).to(self.place) for x in (self.numbers, memory.facts))
        return tagger.ask(post, past, tags, present, facts)[0]

    def asked(self, tagger: Tagger, rows: Ints) -> tuple[Tensor, Tensor | None]:
        """What tags are asked with (posts, 3 width), and the weights of memories."""
        nodes, weights = super().asked(tagger, rows)
        if self.selection is None:
            (nodes,) = Alone(tagger)(nodes)
        return graph_of(tagger)(nodes, self.sums[rows], self.own[rows]), weights

    def keep(self, tagger: Tagger) -> None:
        """Leave what the network learnt with the model; of the graph, the posts that can be neighbours."""
        keep(self.model, self, tagger)


class Alone(nn.Module):
    """Nodes of posts without a habit, from picture and text side by side; exported."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.triplet = triplet_of(tagger)

    def forward(self, post: Tensor) -> tuple[Tensor]:
        """Posts (batch, 2 width) into nodes (batch, width)."""
        image, text = post.chunk(2, 1)
        return (self.triplet(image, text, None),)


def graph_of(tagger: Tagger) -> AggregatedGraphConvolution:
    """The convolution that ``GraphWork.network`` added."""
    assert isinstance(tagger.graph, AggregatedGraphConvolution)
    return tagger.graph


def triplet_of(tagger: Tagger) -> TripletAttention:
    """What makes picture, text and habit a node."""
    assert tagger.triplet is not None
    return tagger.triplet


def keep(model: Tagnet, work: GraphWork, tagger: Tagger) -> None:
    """Leave what the network learnt with the model; of the graph, the posts that can be neighbours."""
    shared.keep(model, work, tagger)
    model.__dict__.pop("_meshed", None)
    if work.selection is None:
        model.asker_ = _exported(Alone(tagger), model)
    ids, looks = hashed(work.posts.ids), model.looks(work.data.reading)
    rows = np.flatnonzero(looks.any(axis=1)) if model.graph != "none" else np.zeros(0, np.int64)
    rows = rows[np.argsort(ids[rows])]
    tables = work.tables.cpu().numpy().astype(np.float16)
    model.graph_ = {"ids": ids[rows], "looks": looks[rows].astype(np.float16), "tables": tables[rows]}
    model.graph_ |= graph_of(tagger).arrays()


def _exported(alone: Alone, model: Tagnet) -> bytes:
    draw = torch.Generator().manual_seed(model.seed)
    examples = [(torch.randn(posts, 2 * model.width, generator=draw),) for posts in (3, 1, 5)]
    with training.threads(1):
        return to_onnx(alone.eval(), examples, {"post": {0: "posts"}}, ["asked"])
