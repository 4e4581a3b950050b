"""BiLSTM tagger for many communities: words → BiLSTM → attention → + community → one output row per tag.

Commune two-stage paper §3.1. The output rows of all communities stand in one matrix; those of a community are
consecutive. A row is ``A · E(tag's words) + r_tag``: ``A`` is learnt by all tags, ``r_tag`` is the tag's own, so a tag
that no post carries still has a row. The mean of the words by attention also goes straight to the hidden layer, which
then learns in fewer passes, and to the output, where it is met by ``E`` itself: as far as the words look like the tag,
it is scored, also where ``A`` has seen few tags. These are ours: the paper leaves small communities to the future.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashloom.networks.attention import AttentionPooling


@dataclass
class Sizes:
    """The widths of the layers."""

    states: int = 128
    community: int = 32
    hidden: int = 256
    dropout: float = 0.3
    match: bool = True
    """Whether the mean of the words meets the tags' vectors, which then must be as long as word vectors."""


class BilstmTagger(nn.Module):
    """The network. ``forward`` is what answers need and what is exported; ``logits`` adds the output rows.

    ``words``: (words, dim) where the word table starts; row 0 is padding. ``tags``: (tags, dim of tags) vectors of
    the tags' words. ``starts``: (communities + 1,) where the rows of each community begin. ``bias``: (tags,).
    """

    starts: Tensor

    def __init__(self, words: Tensor, tags: Tensor, starts: Tensor, bias: Tensor, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.words = nn.Embedding.from_pretrained(words, freeze=False, sparse=True)
        # Two LSTMs, the second on reversed words, instead of a bidirectional one: no packing, so padding costs nothing
        # but time, bfloat16 is fast and the export holds for any length.
        self.ahead = nn.LSTM(words.shape[1], sizes.states, batch_first=True)
        self.back = nn.LSTM(words.shape[1], sizes.states, batch_first=True)
        self.pool = AttentionPooling(2 * sizes.states, sizes.states)
        self.places = nn.Embedding(len(starts) - 1, sizes.community)
        nn.init.normal_(self.places.weight, std=0.1)
        text = 2 * sizes.states + words.shape[1] * sizes.match
        self.dense = nn.Linear(text + sizes.community, sizes.hidden)
        self.dropout = nn.Dropout(sizes.dropout)
        self.project = nn.Linear(tags.shape[1], sizes.hidden, bias=False)
        self.own = nn.Parameter(torch.randn(len(tags), sizes.hidden) * 0.02)
        self.bias = nn.Parameter(bias.clone())
        self.sharpness = nn.Parameter(torch.tensor(1.0)) if sizes.match else None
        self.register_buffer("tags", tags)
        self.register_buffer("starts", starts)
        self.alone = 0.0

    def forward(self, vectors: Tensor, lengths: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden vectors (batch, hidden, + dim where tags are matched) and attention (batch, words) of posts.

        ``vectors``: (batch, words, dim); ``lengths``: (batch,), at least 1; ``place``: (batch, community) vectors.
        """
        at = torch.arange(vectors.shape[1], device=vectors.device).unsqueeze(0)  # (1, words)
        mask = at < lengths.unsqueeze(1)  # (batch, words)
        mirror = torch.where(mask, lengths.unsqueeze(1) - 1 - at, at).unsqueeze(2)  # (batch, words, 1)
        ahead, _ = self.ahead(vectors)
        flipped = vectors.gather(1, mirror.expand(-1, -1, vectors.shape[2]))
        back, _ = self.back(flipped)
        back = back.gather(1, mirror.expand(-1, -1, back.shape[2]))
        text, weights = self.pool(torch.cat([ahead, back], 2), mask)  # (batch, 2 states)
        if self.sharpness is None:
            return self._wide(text, place), weights
        mean = (weights.unsqueeze(1) @ vectors).squeeze(1)  # (batch, dim)
        unit = mean / (mean.square().sum(1, keepdim=True) + 1e-6).sqrt()
        hidden = self._wide(torch.cat([text, mean.to(text.dtype)], 1), place)
        return torch.cat([hidden.to(unit.dtype), unit * self.sharpness], 1), weights

    def _wide(self, text: Tensor, place: Tensor) -> Tensor:
        inputs = torch.cat([self.dropout(text), place.to(text.dtype)], 1)
        return self.dropout(torch.relu(self.dense(inputs)))  # (batch, hidden)

    def hidden(self, words: Tensor, lengths: Tensor, communities: Tensor) -> tuple[Tensor, Tensor]:
        """``forward`` from word numbers (batch, words) and community numbers (batch,)."""
        return self(self.words(words), lengths, self.places(communities))

    def rows(self, start: int, end: int) -> Tensor:
        """The output rows of some tags; (tags, as hidden). In training some lack their own part, as new tags do."""
        own = self.own[start:end]
        if self.training and self.alone:
            own = own * (torch.rand(end - start, 1, device=own.device) >= self.alone)
        rows = self.project(self.tags[start:end]) + own
        return rows if self.sharpness is None else torch.cat([rows, self.tags[start:end].to(rows.dtype)], 1)

    def logits(self, hidden: Tensor, communities: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (batch, most tags) of each post's own community's tags, and the mask of those that are no padding."""
        sizes = (self.starts[1:] - self.starts[:-1])[communities]  # (batch,)
        width = int(sizes.max())
        padded = hidden.new_zeros(len(hidden), width, dtype=torch.float32)
        for community in communities.unique().tolist():
            start, end = int(self.starts[community]), int(self.starts[community + 1])
            of = (communities == community).nonzero().squeeze(1)
            scores = hidden[of] @ self.rows(start, end).to(hidden.dtype).T + self.bias[start:end]
            padded[of, : end - start] = scores.float()
        return padded, torch.arange(width, device=hidden.device) < sizes.unsqueeze(1)
