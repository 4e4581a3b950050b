"""Formulas of the ranking metrics: each a plain function whose name is the metric's id, with formula, range, source.

With ``T`` a post's true tags, ``R`` its suggestions (repeats dropped, the first kept) and ``h`` the number of true tags
among the first ``K`` suggestions:

* functions of ``(hits, k)`` give one number per post; the mean over posts is the score;
* ``rouge.py`` has those of ``(hits, k)`` that compare texts;
* functions of other metrics' means (``f1_means(p, r)``) are scores of a whole set and have no per-post value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.evaluate.hits import Hits
from hashloom.evaluate.rouge import rouge1, rouge2, rougeL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def _divide(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0; NaN stays NaN."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.divide(a, b, out=np.where(np.isnan(a * b), np.nan, 0.0), where=b != 0)


def _ideal(sizes: NDArray[np.int64]) -> Floats:
    """Σ 1/log2(r + 1) for r up to each size; shape as ``sizes``."""
    ranks = np.arange(1, int(sizes.max(initial=1)) + 1)
    return np.cumsum(1 / np.log2(ranks + 1))[sizes - 1]


# ---- one number per post --------------------------------------------------------------------------------------


def hit(hits: Hits, k: int) -> Floats:
    """Whether at least one of the first K suggestions is true.

    Formula: 1[h > 0]
    Range: 0 to 1, higher is better
    Source: MaCon, DESIGN and AMNN ("accuracy")

    >>> hit(Hits.marked("--+", truths=2), 3)
    array([1.])
    """
    return (hits.at(hits.counts, k) > 0).astype(np.float64)


def p(hits: Hits, k: int) -> Floats:
    """Precision: the share of K places that hold a true tag, also where fewer than K were suggested.

    Formula: h / K
    Range: 0 to 1, higher is better
    Source: the standard; MaCon, AMNN, Commune

    >>> p(Hits.marked("+", truths=2), 4)
    array([0.25])
    """
    return hits.at(hits.counts, k) / k


def p_adapt(hits: Hits, k: int) -> Floats:
    """Precision over what was suggested, for makers that may suggest fewer than K.

    Formula: h / #R, 0 where nothing was suggested
    Range: 0 to 1, higher is better
    Source: DESIGN with weighted fusion (Yakovlev and Shapoval 2024)

    >>> p_adapt(Hits.marked("+-", truths=2), 4)
    array([0.5])
    """
    return _divide(hits.at(hits.counts, k), np.minimum(hits.given, k))


def r(hits: Hits, k: int) -> Floats:
    """Recall: the share of the true tags that were found; tags no model can know stay in the denominator.

    Formula: h / #T
    Range: 0 to 1, higher is better
    Source: the standard (macro); MaCon, AMNN, Commune

    >>> r(Hits.marked("+-+", truths=4), 3)
    array([0.5])
    """
    return hits.at(hits.counts, k) / hits.asked


def r_cap(hits: Hits, k: int) -> Floats:
    """Capped recall: the share found of as many true tags as fit into K places.

    Formula: h / min(#T, K)
    Range: 0 to 1, higher is better
    Source: BEIR (Thakur et al. 2021); never to be called just recall

    >>> r_cap(Hits.marked("+-", truths=4), 2)
    array([0.5])
    """
    return hits.at(hits.counts, k) / np.minimum(hits.asked, k)


def f1_posts(hits: Hits, k: int) -> Floats:
    """F1 of each post, then averaged; often much lower than F1 of the averages.

    Formula: 2h / (K + #T), the harmonic mean of the post's h/K and h/#T
    Range: 0 to 1, higher is better
    Source: MaCon, DemoHash

    >>> f1_posts(Hits.marked("+-", truths=2), 2)
    array([0.5])
    """
    return 2 * hits.at(hits.counts, k) / (k + hits.asked)


def ap_t(hits: Hits, k: int) -> Floats:
    """Average precision over all true tags; cannot reach 1 where there are more than K.

    Formula: Σ over true tags found of precision at their rank, / #T
    Range: 0 to 1, higher is better
    Source: TagRec, trec_eval

    >>> ap_t(Hits.marked("+-", truths=2), 2)
    array([0.5])
    """
    return hits.at(hits.precisions, k) / hits.asked


def ap_min(hits: Hits, k: int) -> Floats:
    """Average precision over as many true tags as fit: the standard MAP@K; ``map`` is its other name.

    Formula: Σ over true tags found of precision at their rank, / min(#T, K)
    Range: 0 to 1, higher is better
    Source: the standard; Commune

    >>> ap_min(Hits.marked("+-", truths=5), 2)
    array([0.5])
    """
    return hits.at(hits.precisions, k) / np.minimum(hits.asked, k)


def ap_hit(hits: Hits, k: int) -> Floats:
    """Average precision over the true tags that were found; blind to those that were not.

    Formula: Σ over true tags found of precision at their rank, / h
    Range: 0 to 1, higher is better
    Source: none; to read tables whose MAP divides by what was found

    >>> ap_hit(Hits.marked("-+", truths=5), 2)
    array([0.5])
    """
    return _divide(hits.at(hits.precisions, k), hits.at(hits.counts, k))


def mrr(hits: Hits, k: int) -> Floats:
    """Reciprocal rank of the first true tag.

    Formula: 1 / rank of the first true tag among K, 0 if there is none
    Range: 0 to 1, higher is better
    Source: the standard; Commune

    >>> mrr(Hits.marked("-+-", truths=1), 3)
    array([0.5])
    """
    found = hits.matrix[:, :k]
    return np.where(found.any(axis=1), 1 / (found.argmax(axis=1) + 1), 0.0)


def rr_truths(hits: Hits, k: int) -> Floats:
    """Reciprocal rank averaged over all true tags of a post.

    Formula: Σ over true tags found of 1/rank, / #T
    Range: 0 to 1, higher is better
    Source: TagRec ("MRR")

    >>> rr_truths(Hits.marked("-+", truths=2), 2)
    array([0.25])
    """
    return hits.at(hits.reciprocals, k) / hits.asked


def ndcg(hits: Hits, k: int) -> Floats:
    """Normalised discounted cumulative gain against the best list of K places.

    Formula: Σ over true tags found of 1/log2(rank + 1), / Σ for r ≤ min(#T, K) of 1/log2(r + 1)
    Range: 0 to 1, higher is better
    Source: the standard; Commune

    >>> ndcg(Hits.marked("+-", truths=1), 2)
    array([1.])
    """
    return hits.at(hits.gains, k) / _ideal(np.minimum(hits.asked, k))


def ndcg_t(hits: Hits, k: int) -> Floats:
    """NDCG against a list of all true tags; cannot reach 1 where there are more than K.

    Formula: Σ over true tags found of 1/log2(rank + 1), / Σ for r ≤ #T of 1/log2(r + 1)
    Range: 0 to 1, higher is better
    Source: TagRec

    >>> ndcg_t(Hits.marked("+", truths=1), 1)
    array([1.])
    """
    return hits.at(hits.gains, k) / _ideal(hits.asked)


def ndcg_mixed(hits: Hits, k: int) -> Floats:
    """NDCG with a natural logarithm above and log2 below, 1/ln 2 times too large; only to read others' tables.

    Formula: Σ over true tags found of 1/ln(rank + 1), / Σ for r ≤ min(#T, K) of 1/log2(r + 1)
    Range: 0 to 1.4427, higher is better
    Source: the published code of PHR_GCN

    >>> ndcg_mixed(Hits.marked("+", truths=1), 1).round(4)
    array([1.4427])
    """
    return ndcg(hits, k) / np.log(2)


def found(hits: Hits, k: int) -> Floats:
    """How many true tags are among the first K.

    Formula: h
    Range: 0 to K, higher is better
    Source: a part of the micro averages

    >>> found(Hits.marked("++-", truths=3), 3)
    array([2.])
    """
    return hits.at(hits.counts, k)


def carried(hits: Hits, k: int) -> Floats:
    """How many true tags the post carries, whatever K.

    Formula: #T
    Range: 1 to any, neither is better
    Source: a part of the micro averages

    >>> carried(Hits.marked("+", truths=3), 1)
    array([3.])
    """
    return hits.truths.astype(np.float64)


def novel_found(hits: Hits, k: int) -> Floats:
    """How many true tags that no training post of the community carries are among the first K.

    Formula: h_novel; posts without such a tag are left out
    Range: 0 to K, higher is better
    Source: a part of novel_r
    """
    return _some(hits, "novel", k)[0]


def novel_carried(hits: Hits, k: int) -> Floats:
    """How many true tags of the post no training post of the community carries.

    Formula: #T_novel; posts without such a tag are left out
    Range: 1 to any, neither is better
    Source: a part of novel_r
    """
    return _some(hits, "novel", k)[1]


def young_found(hits: Hits, k: int) -> Floats:
    """How many true tags that the community began to use less than 30 days before are among the first K.

    Formula: h_young; posts without such a tag are left out
    Range: 0 to K, higher is better
    Source: a part of young_r
    """
    return _some(hits, "young", k)[0]


def young_carried(hits: Hits, k: int) -> Floats:
    """How many true tags of the post the community began to use less than 30 days before.

    Formula: #T_young; posts without such a tag are left out
    Range: 1 to any, neither is better
    Source: a part of young_r
    """
    return _some(hits, "young", k)[1]


def _some(hits: Hits, kind: str, k: int) -> tuple[Floats, Floats]:
    """Found and carried of some of the true tags, each of shape (posts,); NaN where a post has none of that kind."""
    some = hits.only(kind)
    there = some.truths > 0
    return np.where(there, some.at(some.counts, k), np.nan), np.where(there, some.truths, np.nan)


# ---- scores of a whole set, from the means of others (numbers, or arrays of resampled means) --------------------


def f1_means(p: Any, r: Any) -> Any:
    """F1 of the averages: the harmonic mean of mean precision and mean recall.

    Formula: 2PR / (P + R) with P = p@K, R = r@K
    Range: 0 to 1, higher is better
    Source: DESIGN; MaCon's text-and-image column

    >>> float(f1_means(0.25, 0.25))
    0.25
    """
    return _divide(2 * p * r, p + r)


def micro_p(found: Any, k: int) -> Any:
    """Precision over all places of all posts together.

    Formula: Σh / (K · posts)
    Range: 0 to 1, higher is better
    Source: RIGHT

    >>> micro_p(2.0, 10)
    0.2
    """
    return found / k


def micro_r(found: Any, carried: Any) -> Any:
    """Recall over all true tags of all posts together; prolific taggers weigh more.

    Formula: Σh / Σ#T
    Range: 0 to 1, higher is better
    Source: RIGHT; MaCon's text-and-image column

    >>> float(micro_r(2.0, 4.0))
    0.5
    """
    return _divide(found, carried)


def micro_f1(found: Any, carried: Any, k: int) -> Any:
    """Harmonic mean of micro precision and micro recall.

    Formula: 2Σh / (K · posts + Σ#T)
    Range: 0 to 1, higher is better
    Source: RIGHT

    >>> float(micro_f1(3.0, 5.0, 10))
    0.4
    """
    return _divide(2 * found, k + carried)


def novel_r(novel_found: Any, novel_carried: Any) -> Any:
    """Novel-tag recall: of all true tags that no training post of the community carries, the share found.

    Formula: Σh_novel / Σ#T_novel
    Range: 0 to 1, higher is better
    Source: ours; RIGHT's question of new words, counted as in micro recall

    >>> float(novel_r(0.5, 2.0))
    0.25
    """
    return _divide(novel_found, novel_carried)


def young_r(young_found: Any, young_carried: Any) -> Any:
    """Young-tag recall: of all true tags whose first earlier use is less than 30 days old, the share found.

    Formula: Σh_young / Σ#T_young
    Range: 0 to 1, higher is better
    Source: ours

    >>> float(young_r(0.5, 1.0))
    0.5
    """
    return _divide(young_found, young_carried)


# ---- all of them ------------------------------------------------------------------------------------------------

PER_POST = (
    *(hit, p, p_adapt, r, r_cap, f1_posts, ap_t, ap_min, ap_hit, mrr, rr_truths, ndcg, ndcg_t, ndcg_mixed),
    *(rouge1, rouge2, rougeL),
)
COUNTS = (found, carried, novel_found, novel_carried, young_found, young_carried)
PER_SET = (f1_means, micro_p, micro_r, micro_f1, novel_r, young_r)
OF_SOME = {"novel_r": "novel", "young_r": "young"}
"""Metrics that count some of the true tags only, and how ``Hits.among`` calls these."""
