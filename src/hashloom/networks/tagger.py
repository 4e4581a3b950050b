"""The network that all our multimodal models are made of: towers → interaction → fusion → habit → head.

CoA, AMNN, MaCon, DESIGN and TAGNet differ in which of these parts they have; a ``Plan`` says which. A post is *mined*
alike whether it is asked about or remembered, as in MaCon (Zhang et al., AAAI 2019) and DESIGN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hashloom.networks.co_attention import AlternatingCoAttention, OwnAttention, ParallelCoAttention
from hashloom.networks.decoder import TagDecoder
from hashloom.networks.fusion import ModalityDropout, make_fusion
from hashloom.networks.graph import TripletAttention
from hashloom.networks.habit import HabitMemory
from hashloom.networks.towers import Absent, RegionTower, WordAttention


@dataclass(frozen=True)
class Plan:
    """Which parts a model has."""

    interaction: Literal["parallel", "alternating", "own"] = "parallel"
    """How words and regions look at each other: §2 both at once, §3 in turn, or each by itself."""
    variant: Literal["paper", "code"] = "paper"
    """As the paper says, or as the released code does."""
    join: Literal["concat", "sum", "product"] = "concat"
    """alternating: how a row and its guide are set together."""
    mean: bool = False
    """parallel: affinities averaged instead of added."""
    inner: int = 100
    """Width of attention."""
    word_attention: bool = False
    """DESIGN: words weighed before they meet the picture."""
    fusion: Literal["sum", "weighted", "gate", "concat"] = "sum"
    habit: Literal["none", "posts", "tags"] = "none"
    mask_bug: bool = False
    recency: bool = False
    triplet: bool = False
    """TAGNet: picture, text and habit look at each other; the result is a node of a graph."""
    nodes: bool = False
    """TAGNet: what is asked with is made outside, from the node and its neighbours."""
    classify: bool = True
    generate: bool = False
    every_step: bool = False
    """AMNN: the fused vector is added at each step of the decoder."""
    dropout: float = 0.5
    blank: float = 0.0
    """Share of training posts that have both text and picture and are shown without one of them."""
    state: int = 256
    """Width of the decoder's GRU."""
    streams: bool = True
    """Whether remembered posts are normalised by statistics of their own (weighted fusion)."""


class Tagger(nn.Module):
    """The whole network. ``forward`` mines posts, ``ask`` adds the habit; both are exported.

    ``words``: the module that makes states (batch, words, width) of words and their mask; ``bias``: (tags,).
    """

    def __init__(self, plan: Plan, words: nn.Module, region_dim: int, width: int, bias: Tensor) -> None:
        super().__init__()
        self.plan, self.width = plan, width
        self.words = words
        self.regions = RegionTower(region_dim, width)
        self.no_words, self.no_regions = Absent(width), Absent(width)
        self.blank = ModalityDropout(plan.blank)
        self.attend = WordAttention(width) if plan.word_attention else None
        self.meet = _interaction(plan, width)
        self.fuse = make_fusion(plan.fusion, width)
        self.habit = None
        if plan.habit != "none":
            self.habit = HabitMemory(
                width, len(bias), variant=plan.variant, mask_bug=plan.mask_bug, memory=plan.habit, recency=plan.recency
            )
        self.triplet = TripletAttention(width) if plan.triplet else None
        wide = width * 3 if plan.nodes else width * 2 if self.habit else width
        self.dropout = nn.Dropout(plan.dropout)
        self.head = nn.Linear(wide, len(bias)) if plan.classify else None
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=0.02)
            self.head.bias.data.copy_(bias)
        self.decoder = (
            TagDecoder(wide, len(bias), plan.state, add_every_step=plan.every_step, dropout=plan.dropout)
            if plan.generate
            else None
        )

    def mine(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> tuple[Tensor, ...]:
        """Summaries of text and picture, both (batch, width), and attention (batch, words), (batch, regions).

        ``words``: (batch, words) numbers or (batch, words, dim) vectors; ``regions``: (batch, regions, dim).
        """
        word_mask, region_mask = self.blank(word_mask, region_mask)
        states = self.words(words, word_mask)  # (batch, words, width)
        if self.attend is not None:
            states, _ = self.attend(states, word_mask)
        states, word_mask = self.no_words(states, word_mask)
        seen, region_mask = self.no_regions(self.regions(regions, region_mask), region_mask)
        text, image, of_words, of_regions = self.meet(states, word_mask, seen, region_mask)
        return text, image, of_words, of_regions

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> tuple[Tensor, ...]:
        """Post vectors (batch, width) as asked and as remembered, the picture's share, and both attentions.

        With a triplet attention the first is (batch, 2 width): picture and text side by side.
        """
        text, image, of_words, of_regions = self.mine(words, word_mask, regions, region_mask)
        asked, share = self.as_asked(text, image)
        return asked, self.as_past(text, image), share, of_words, of_regions

    def as_asked(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Asked posts as one vector each, and the picture's share."""
        post, share = self.fuse(text, image, 0)
        return (post if self.triplet is None else torch.cat([image, text], 1)), share

    def as_past(self, text: Tensor, image: Tensor) -> Tensor:
        """Remembered posts as one vector each; (batch, width)."""
        return self.fuse(text, image, int(self.plan.streams))[0]

    def ask(self, post: Tensor, past: Tensor, tags: Tensor, present: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """What tags are asked with (batch, wide), and how much each memory weighs (batch, memories + 1).

        ``post``: (batch, width), or (batch, 2 width) for a triplet; ``past``: (batch, memories, width); ``tags``:
        (batch, memories, tags); ``present``: (batch, memories); ``facts``: (batch, memories, 4).
        """
        assert self.habit is not None
        if self.triplet is None:
            influence, weights = self.habit(post, past, tags, present, facts)
            return torch.cat([post, influence], 1), weights
        image, text = post[:, : self.width], post[:, self.width :]
        influence, weights = self.habit(image + text, past, tags, present, facts)
        return self.triplet(image, text, influence), weights

    def logits(self, asked: Tensor) -> Tensor:
        """Scores of all tags; (batch, tags)."""
        assert self.head is not None
        return self.head(self.dropout(asked))


class Ask(nn.Module):
    """``Tagger.ask`` as a module of its own, for export."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(
        self, post: Tensor, past: Tensor, tags: Tensor, present: Tensor, facts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``Tagger.ask``."""
        return self.tagger.ask(post, past, tags, present, facts)


class AskTags(nn.Module):
    """``Tagger.ask`` of a memory of tags, which reads no vectors of posts; the exporter would leave them out."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(self, post: Tensor, tags: Tensor, present: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Tagger.ask``."""
        return self.tagger.ask(post, facts[:, :, :1], tags, present, facts)


def _interaction(plan: Plan, width: int) -> nn.Module:
    if plan.interaction == "parallel":
        return ParallelCoAttention(width, plan.inner, plan.variant, plan.mean)
    if plan.interaction == "alternating":
        return AlternatingCoAttention(width, plan.inner, join=plan.join)
    return OwnAttention(width, plan.inner)
