"""Which earlier posts are like a post, and what a graph convolution makes of them, in numpy (TAGNet; models §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

TEMPERATURE = 0.1
"""A neighbour weighs exp(cosine / this), a post itself exp(1 / this)."""
BLOCK = 256
"""Posts compared with all others at once."""


@dataclass(frozen=True)
class Nodes:
    """Posts as a graph sees them: ``looks`` (posts, dim), of unit length or zero; when and where they were written."""

    looks: Floats
    moments: Ints
    communities: Sequence[str]


@dataclass(frozen=True)
class Edges:
    """For each post the rows of its neighbours (posts, k), their shares (posts, k) and its own (posts, 1); sum 1."""

    near: Ints
    shares: Floats
    own: Floats

    @classmethod
    def none(cls, posts: int, k: int) -> Edges:
        """Every post by itself."""
        return cls(np.zeros((posts, k), np.int64), np.zeros((posts, k), np.float32), np.ones((posts, 1), np.float32))


def edges(asked: Nodes, known: Nodes, k: int) -> Edges:
    """The ``k`` most alike of the known posts that are strictly earlier and of the same community.

    Shares are a softmax over the cosines and the post itself. A post without a look has and is no neighbour.

    >>> looks = np.eye(2, dtype=np.float32)[[0, 0, 1]]
    >>> known = Nodes(looks, np.arange(3), ["c", "c", "c"])
    >>> edges(Nodes(looks[:1], np.array([9]), ["c"]), known, 2).near.tolist()
    [[0, 1]]
    """
    found = Edges.none(len(asked.looks), k)
    of_asked, of_known = np.array(asked.communities, dtype=object), np.array(known.communities, dtype=object)
    seen, shown = asked.looks.any(axis=1), known.looks.any(axis=1)
    for community in set(asked.communities) & set(known.communities):
        there = np.flatnonzero((of_known == community) & shown)
        looks, moments = known.looks[there], known.moments[there]
        here = np.flatnonzero((of_asked == community) & seen)
        for rows in (here[at : at + BLOCK] for at in range(0, len(here), BLOCK)):
            cosines = asked.looks[rows] @ looks.T  # (rows, there)
            cosines[moments[None] >= asked.moments[rows, None]] = -np.inf
            _enter(found, rows, there, cosines)
    return found


def _enter(found: Edges, rows: Ints, there: Ints, cosines: Floats) -> None:
    """Set the edges of ``rows`` from their cosines with ``there``; -inf: not to be read."""
    k = min(found.near.shape[1], len(there))
    if not k:
        return
    top = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    at = np.take_along_axis(cosines, top, axis=1)
    order = np.argsort(-at, axis=1, kind="stable")
    top, at = np.take_along_axis(top, order, axis=1), np.take_along_axis(at, order, axis=1)
    weights = np.exp((at - 1) / TEMPERATURE)
    total = 1 + weights.sum(axis=1, keepdims=True)
    found.near[rows, :k] = np.where(weights > 0, there[top], 0)
    found.shares[rows, :k] = weights / total
    found.own[rows] = 1 / total


def gather(tables: NDArray[np.floating], edges: Edges) -> Floats:
    """The neighbours' rows of tables (nodes, layers, hops, width) by their shares; (posts, layers, hops, width)."""
    rows = tables[edges.near].astype(np.float32)  # (posts, k, layers, hops, width)
    return np.asarray(np.einsum("pk,pk...->p...", edges.shares, rows), np.float32)


def convolve(weights: Floats, biases: Floats, states: Floats, sums: Floats, own: Floats) -> Floats:
    """``networks.graph.AggregatedGraphConvolution`` without torch; (posts, (layers + 1) width).

    ``weights``: (layers, width, (hops + 1) width); ``biases``: (layers, width); the others as there.
    """
    found = [states]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        hops = [found[-1]]
        for hop in range(sums.shape[2]):
            hops.append(own * hops[-1] + sums[:, layer, hop])
        found.append(np.maximum(np.concatenate(hops, axis=1) @ weight.T + bias, 0))
    return np.concatenate(found, axis=1).astype(np.float32)
