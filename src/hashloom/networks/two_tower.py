"""Two towers: a post's vector against its community's tags, each known by its words and by a vector of its own.

B8 of the recommended stack: a tag's row is ``A · e + r``, where ``e`` stands for its words and ``r``, which starts at
zero and decays, for what only its posts tell. A tag without a post has a row all the same. Beside the product of the
two towers stand a few plain likenesses of post and tag (of meaning, of habit, of spelling, how common the tag is), each
with one learnt weight, so that a tag whose words stand in the text is found however few tags ``A`` has seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashloom.networks import losses

SMALL = 0.003
"""Standard deviation of the weights that ``A`` starts with."""


@dataclass
class Sizes:
    """The widths of the layers."""

    hidden: int = 256
    width: int = 128
    dropout: float = 0.3


class TwoTower(nn.Module):
    """The network. ``query`` and ``rows`` are the towers; ``logits`` is what is trained.

    ``asked``: width of what is known of a post; ``words``: of a tag's words; ``tags``: their number; ``start``: the
    weights that the likenesses begin with: of meaning, habit, spelling, how common a tag is, the level of unknown tags,
    and what meaning and spelling weigh more with these.
    """

    def __init__(self, asked: int, words: int, tags: int, start: list[float], sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.dense = nn.Linear(asked, sizes.hidden)
        self.out = nn.Linear(sizes.hidden, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.project = nn.Linear(words, sizes.width, bias=False)
        # Small at the start: where no trained tag points, A stays what it was, which is noise to other tags.
        nn.init.normal_(self.project.weight, std=SMALL)
        # One column more than the tower is wide: the tag's own level, whoever asks.
        self.own = nn.Parameter(torch.zeros(tags, sizes.width + 1))
        self.alike = nn.Parameter(torch.tensor(start))

    def query(self, asked: Tensor) -> Tensor:
        """The posts' vectors, the last number 1; (posts, width + 1) of (posts, asked)."""
        made = self.out(self.dropout(torch.relu(self.dense(self.dropout(asked)))))
        return torch.cat([made, made.new_ones(len(made), 1)], 1)

    def rows(self, words: Tensor, own: Tensor) -> Tensor:
        """The tags' vectors, ``A · e + r``; (tags, width + 1) of (tags, words) and (tags, width + 1)."""
        return nn.functional.pad(self.project(words), (0, 1)) + own

    def logits(self, asked: Tensor, words: Tensor, own: Tensor, spelt: Tensor, common: Tensor) -> Tensor:
        """Scores (posts, tags).

        ``asked``: (posts, asked), where text and habit come first, each as wide as ``words`` (tags, words); ``own``:
        (tags, width + 1); ``spelt``: (posts, tags); ``common``: (tags,), NaN for tags to be taken as unknown.
        """
        wide, unknown = words.shape[1], torch.isnan(common)
        meaning, habit, spelling, usual, level, meaning_more, spelling_more = self.alike
        both = (asked[:, :wide] @ words.T, asked[:, wide : 2 * wide] @ words.T)  # (posts, tags) each
        logits = self.query(asked) @ self.rows(words, own * ~unknown[:, None]).T
        logits = logits + both[0] * (meaning + meaning_more * unknown) + both[1] * habit
        logits = logits + spelt * (spelling + spelling_more * unknown)
        return logits + torch.where(unknown, level, usual * common.nan_to_num())


def corrected_softmax(logits: Tensor, targets: Tensor, chances: Tensor) -> Tensor:
    """Softmax loss over drawn candidates, corrected by the chance that each had of being drawn (logQ); shape (posts,).

    All of shape (posts, candidates). ``chances`` lie in (0, 1], 1 for what is there for certain; 0: the post is not
    asked about this candidate. One that had a chance of q stands for 1/q like it, so its share of the sum is divided
    by q: the sum is then, on average, that over all tags. True tags are there for certain.

    >>> logits, targets = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    >>> round(corrected_softmax(logits, targets, torch.tensor([[1.0, 0.5, 0.0]])).exp().item(), 4)
    3.0
    """
    mask = (chances > 0) | (targets > 0)
    corrected = torch.where((targets > 0) | ~mask, logits, logits - torch.log(chances.clamp(min=1e-12)))
    return losses.softmax_loss(corrected, targets, mask)
