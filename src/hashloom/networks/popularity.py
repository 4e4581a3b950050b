"""The network that forecasts a post's number: UHAN, its ablations, DualAtt, DMF (Zhang et al., WWW 2018; models §11).

Words and regions → one vector each (intra-attention, guided by the other side and the author) → one vector (inter-
attention, guided by the author) → plus the author → two hidden layers → one number. A ``Plan`` says which parts there
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hashloom.networks.attention import masked_softmax
from hashloom.networks.towers import Absent, RegionTower, WordTower


@dataclass(frozen=True)
class Plan:
    """Which parts a model has.

    >>> Plan().inputs
    ['words', 'word_mask', 'regions', 'region_mask', 'users']
    >>> Plan(reads="text", user="inter", residual=False).inputs
    ['words', 'word_mask']
    """

    reads: Literal["both", "text", "picture"] = "both"
    intra: bool = True
    """Words and regions weighed by attention; else their mean is taken."""
    last: bool = False
    """DMF: of the words the last state instead of what ``intra`` says."""
    inter: Literal["attention", "mean", "concat"] = "attention"
    """How the vectors of text and picture become one."""
    user: Literal["both", "intra", "inter", "none"] = "both"
    """Which attentions the author guides."""
    residual: bool = True
    """Whether the author's vector is added to the post's."""
    head: int = 1024
    """Width of the two hidden layers."""
    dropout: float = 0.0
    """Share of what the hidden layers are given that is left out in training."""
    strangers: float = 0.0
    """Share of training posts shown as a stranger's."""
    hidden: float = 0.0
    """Share of words left out in training."""

    @property
    def guides(self) -> bool:
        """Whether the author guides the attention within a side."""
        return self.intra and self.user in ("both", "intra")

    @property
    def weighs(self) -> bool:
        """Whether the author guides the attention between the sides."""
        return self.reads == "both" and self.inter == "attention" and self.user in ("both", "inter")

    @property
    def knows_authors(self) -> bool:
        """Whether anything depends on who wrote a post."""
        return self.guides or self.weighs or self.residual

    @property
    def inputs(self) -> list[str]:
        """What the network is given, by name."""
        text = ["words", "word_mask"] if self.reads != "picture" else []
        picture = ["regions", "region_mask"] if self.reads != "text" else []
        return text + picture + (["users"] if self.knows_authors else [])

    @property
    def outputs(self) -> list[str]:
        """What it gives, by name."""
        names = {"both": ["of_words", "of_regions", "sides"], "text": ["of_words"], "picture": ["of_regions"]}
        return ["value", *names[self.reads]]


class Authors(nn.Module):
    """Authors' vectors: a stranger's, plus for each known author what sets them apart (row 0: nothing, ever).

    In training a share of the posts is shown as strangers', so that the stranger's vector learns from all.

    >>> authors = Authors(3, 4)
    >>> bool((authors(torch.tensor([0])) == authors.stranger).all())
    True
    """

    def __init__(self, known: int, width: int, strangers: float = 0.0) -> None:
        super().__init__()
        self.strangers = strangers
        self.stranger = nn.Parameter(torch.randn(width) * 0.5)
        self.apart = nn.Embedding(known + 1, width, padding_idx=0)
        nn.init.normal_(self.apart.weight[1:], std=0.1)
        nn.init.zeros_(self.apart.weight[:1])

    def forward(self, users: Tensor) -> Tensor:
        """Author numbers (batch,), 0 a stranger, into (batch, width)."""
        if self.training and self.strangers:
            users = users * (torch.rand(users.shape, device=users.device) >= self.strangers)
        return self.stranger + self.apart(users)  # (batch, width)


class IntraAttention(nn.Module):
    """Rows weighed by softmax(w · (tanh(x W_x) ⊙ tanh(a W_a) ⊙ tanh(u W_u))), context a and author u as guides (§11.2).

    Either guide may be left out. No biases; weights start Glorot-normal.

    >>> rows, mask = torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    >>> mixed, weights = IntraAttention(4)(rows, mask, torch.randn(2, 4), torch.randn(2, 4))
    >>> mixed.shape, weights.shape
    (torch.Size([2, 4]), torch.Size([2, 5]))
    """

    def __init__(self, width: int, context: bool = True, user: bool = True) -> None:
        super().__init__()
        self.rows = _dense(width, width)
        self.context = _dense(width, width) if context else None
        self.user = _dense(width, width) if user else None
        self.score = _dense(width, 1)

    def forward(self, rows: Tensor, mask: Tensor, context: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (batch, n, width), mask (batch, n), guides (batch, width) into (batch, width) and weights (batch, n)."""
        joined = torch.tanh(self.rows(rows))  # (batch, n, width)
        for dense, guide in ((self.context, context), (self.user, user)):
            if dense is not None:
                joined = joined * torch.tanh(dense(guide)).unsqueeze(1)
        weights = masked_softmax(self.score(joined).squeeze(-1), mask)
        return mix(weights, rows), weights


class InterAttention(nn.Module):
    """Text and picture weighed by softmax(w · (tanh(m W_m) ⊙ tanh(u W_u))), W_m for each, the rest shared (§11.2).

    >>> mixed, weights = InterAttention(4)(torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4))
    >>> mixed.shape, weights.sum(1).detach().round(decimals=5).tolist()
    (torch.Size([2, 4]), [1.0, 1.0])
    """

    def __init__(self, width: int, user: bool = True) -> None:
        super().__init__()
        self.text, self.image = _dense(width, width), _dense(width, width)
        self.user = _dense(width, width) if user else None
        self.score = _dense(width, 1)

    def forward(self, text: Tensor, image: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
        """Three vectors (batch, width) into one and the weights of text and picture (batch, 2)."""
        joined = torch.stack([torch.tanh(self.text(text)), torch.tanh(self.image(image))], 1)  # (batch, 2, width)
        if self.user is not None:
            joined = joined * torch.tanh(self.user(user)).unsqueeze(1)
        weights = torch.softmax(self.score(joined).squeeze(-1), 1)  # (batch, 2)
        return mix(weights, torch.stack([text, image], 1)), weights


class Popularity(nn.Module):
    """The whole network. ``forward`` takes what ``plan.inputs`` names and gives what ``plan.outputs`` names.

    ``words``: the module that makes states (batch, words, width) of words and their mask. A side that a post lacks is
    a learnt row.

    >>> network = Popularity(Plan(reads="text", head=8), WordTower(10, 4), 1, 4, authors=3)
    >>> ids, mask = torch.tensor([[3, 4, 0]]), torch.tensor([[True, True, False]])
    >>> value, of_words = network(words=ids, word_mask=mask, users=torch.tensor([2]))
    >>> value.shape, of_words.shape
    (torch.Size([1]), torch.Size([1, 3]))
    """

    def __init__(self, plan: Plan, words: nn.Module, region_dim: int, width: int, authors: int) -> None:
        super().__init__()
        self.plan = plan
        text, picture = plan.reads != "picture", plan.reads != "text"
        self.words = words if text else None
        self.no_words = Absent(width)
        self.regions = RegionTower(region_dim, width) if picture else None
        self.no_regions = Absent(width)
        self.authors = Authors(authors, width, plan.strangers) if plan.knows_authors else None
        both = text and picture
        self.read = IntraAttention(width, both, plan.guides) if plan.intra and text and not plan.last else None
        self.look = IntraAttention(width, both, plan.guides) if plan.intra and picture else None
        self.meet = InterAttention(width, plan.weighs) if both and plan.inter == "attention" else None
        wide = 2 * width if both and plan.inter == "concat" else width
        self.author = _dense(width, wide) if plan.residual else None
        self.head = nn.Sequential(
            nn.Dropout(plan.dropout), nn.Linear(wide, plan.head), nn.ReLU(),
            nn.Dropout(plan.dropout), nn.Linear(plan.head, plan.head), nn.ReLU(),
            nn.Linear(plan.head, 1),
        )  # fmt: skip

    def forward(
        self,
        words: Tensor | None = None,
        word_mask: Tensor | None = None,
        regions: Tensor | None = None,
        region_mask: Tensor | None = None,
        users: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Values (batch,), then weights of words (batch, words), of regions (batch, regions), of both sides (batch, 2).

        ``words``: (batch, words) numbers or (batch, words, dim) vectors; ``regions``: (batch, regions, dim); ``users``:
        (batch,), 0 a stranger. What the plan does not read is neither given nor weighed.
        """
        user = self.authors(users) if self.authors is not None else None  # (batch, width)
        text = picture = None
        if self.words is not None and word_mask is not None:
            text = self.no_words(self.words(self._thinned(words), word_mask), word_mask)
        if self.regions is not None and region_mask is not None:
            picture = self.no_regions(self.regions(regions, region_mask), region_mask)
        post, weights = self._sides(text, picture, user)
        if self.author is not None:
            post = post + self.author(user)  # (batch, width), or twice as wide
        return self.head(post).squeeze(1), *weights

    def _thinned(self, words: Tensor) -> Tensor:
        """Words (batch, words) or (batch, words, dim), in training some of them 0."""
        if not self.training or not self.plan.hidden:
            return words
        stay = torch.rand(words.shape[:2], device=words.device) >= self.plan.hidden  # (batch, words)
        return words * (stay if words.ndim == 2 else stay.unsqueeze(2))

    def _sides(self, text: _Side | None, picture: _Side | None, user: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The post as one vector, and all weights."""
        means = [None if side is None else mix(shares(side[1]), side[0]) for side in (text, picture)]
        if text is None:
            image, of_regions = _pooled(self.look, picture, None, user)
            return image, [of_regions]
        read, of_words = _pooled(self.read, text, means[1], user, self.plan.last)
        if picture is None:
            return read, [of_words]
        image, of_regions = _pooled(self.look, picture, means[0], user)
        post, sides = self._meeting(read, image, user)
        return post, [of_words, of_regions, sides]

    def _meeting(self, text: Tensor, image: Tensor, user: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.meet is not None:
            return self.meet(text, image, user)
        half = torch.full_like(text[:, :2], 0.5)  # (batch, 2)
        return (torch.cat([text, image], 1) if self.plan.inter == "concat" else (text + image) / 2), half

    def penalty(self) -> Tensor:
        """Squares of the word table and of the hidden layers' biases, which the paper keeps small by L2."""
        held = [layer.bias for layer in self.head if isinstance(layer, nn.Linear)]
        if isinstance(self.words, WordTower):
            held.append(self.words.words.weight)
        return torch.stack([part.square().sum() for part in held]).sum()


class Named(nn.Module):
    """``Popularity`` with its inputs in the order of ``plan.inputs``, for the export."""

    def __init__(self, network: Popularity) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """See ``Popularity.forward``."""
        return self.network(**dict(zip(self.network.plan.inputs, given)))


_Side = tuple[Tensor, Tensor]
"""Rows (batch, n, width) and their mask (batch, n)."""


def mix(weights: Tensor, rows: Tensor) -> Tensor:
    """The sum of rows (batch, n, width) by weights (batch, n)."""
    return (weights.to(rows.dtype).unsqueeze(1) @ rows).squeeze(1)  # (batch, width)


def shares(mask: Tensor) -> Tensor:
    """Equal weights of the true places of a row (batch, n), whose sum of rows is their mean.

    >>> shares(torch.tensor([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    return mask.float() / mask.sum(1, keepdim=True).clamp(min=1)


def _pooled(
    attend: nn.Module | None, side: _Side | None, context: Tensor | None, user: Tensor | None, last: bool = False
) -> tuple[Tensor, Tensor]:
    """One vector of a side (batch, width) and the weights (batch, n)."""
    assert side is not None
    rows, mask = side
    if attend is not None:
        return attend(rows, mask, context, user)
    weights = shares(mask)
    if last:
        at = torch.arange(mask.shape[1], device=mask.device)  # padding stands at the end
        weights = (at == mask.sum(1, keepdim=True) - 1).float()  # (batch, n)
    return mix(weights, rows), weights


def _dense(given: int, made: int) -> nn.Linear:
    layer = nn.Linear(given, made, bias=False)
    nn.init.xavier_normal_(layer.weight)
    return layer
