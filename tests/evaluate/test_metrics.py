"""Metrics: vectors worked out apart from the code, trec_eval on random rankings, and the traps that inflate scores."""

import time

import numpy as np
import pytest

from hashloom.evaluate import metrics
from hashloom.evaluate.formulas import COUNTS
from hashloom.evaluate.hits import Hits
from hashloom.evaluate.metrics import measure, parse, score, summarise
from hashloom.types import Rankings

POSTS = [("abc", "axbyc"), ("d", "xdyzw"), ("efghijk", "efxgy"), ("m", "xyzwv")]
# (score at 3, score at 5) over the posts above, worked out apart from this code.
VECTORS = {
    "hit": (0.750000, 0.750000),
    "p": (0.416667, 0.350000),
    "r": (0.488095, 0.607143),
    "r_cap": (0.583333, 0.650000),
    "f1_posts": (0.391667, 0.395833),
    "f1_means": (0.449561, 0.444030),
    "micro_p": (0.416667, 0.350000),
    "micro_r": (0.416667, 0.583333),
    "micro_f1": (0.416667, 0.437500),
    "ap_t": (0.335317, 0.412103),
    "ap_min": (0.430556, 0.451389),
    "ap_hit": (0.583333, 0.543056),
    "mrr": (0.625000, 0.625000),
    "rr_truths": (0.289683, 0.315278),
    "ndcg": (0.525052, 0.553901),
    "ndcg_t": (0.445788, 0.520769),
    "ndcg_mixed": (0.757490, 0.799110),
}


def ranked(rows, ids=None):
    lists = [[(tag, float(len(row) - i)) for i, tag in enumerate(row)] for row in rows]
    return Rankings.of(ids or [str(i) for i in range(len(rows))], lists)


def every_one(truths):
    """All true tags as novel and as young ones."""
    return {kind: [set(row) for row in truths] for kind in ("novel", "young")}


def one(row, truth, metric):
    return summarise(measure(ranked([row]), [truth], [metric], among=every_one([truth])), metric)


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("k", [3, 5])
def test_the_worked_vectors(name, k):
    metric = f"{name}@{k}"
    scores = measure(ranked([row for _, row in POSTS]), [set(truth) for truth, _ in POSTS], [metric])
    assert summarise(scores, metric) == pytest.approx(VECTORS[name][k == 5], abs=1e-6)


def random_rankings(posts=400, tags=40, seed=3):
    """Random lists of 0 to 20 tags and 1 to 12 true tags, with different lengths per post."""
    rng = np.random.default_rng(seed)
    names = np.array([f"t{i}" for i in range(tags)])
    rows = [list(rng.choice(names, rng.integers(0, 21), replace=False)) for _ in range(posts)]
    truths = [set(rng.choice(names, rng.integers(1, 13), replace=False).tolist()) for _ in range(posts)]
    return rows, truths


TREC = {
    "ndcg": "ndcg_cut_{}",
    "ap_t": "map_cut_{}",
    "p": "P_{}",
    "r": "recall_{}",
    "hit": "success_{}",
}


@pytest.mark.parametrize("k", [1, 5, 10])
def test_agrees_with_trec_eval_on_random_rankings(k):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rows, truths = random_rankings()
    asked = {f"{name.rsplit('_', 1)[0]}.{k}" for name in TREC.values()}
    judge = pytrec_eval.RelevanceEvaluator({str(i): dict.fromkeys(t, 1) for i, t in enumerate(truths)}, asked)
    run = {str(i): {tag: 100.0 - j for j, tag in enumerate(row)} for i, row in enumerate(rows) if row}
    theirs = judge.evaluate(run)
    ours = measure(ranked(rows), truths, [f"{name}@{k}" for name in TREC])
    assert len(theirs) > 300
    for name, trec in TREC.items():
        values = ours.values[f"{name}@{k}"]
        assert np.allclose(
            [values[int(i)] for i in theirs], [row[trec.format(k)] for row in theirs.values()], atol=1e-9
        )


def test_reciprocal_rank_and_capped_average_precision_agree_with_trec_eval():
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rows, truths = random_rankings()
    judge = pytrec_eval.RelevanceEvaluator(
        {str(i): dict.fromkeys(t, 1) for i, t in enumerate(truths)}, {"recip_rank", "map_cut.10"}
    )
    theirs = judge.evaluate({str(i): {t: 99.0 - j for j, t in enumerate(row)} for i, row in enumerate(rows) if row})
    ours = measure(ranked(rows), truths, ["mrr@20", "map@10"])
    for i, row in theirs.items():
        size = len(truths[int(i)])
        assert ours.values["mrr@20"][int(i)] == pytest.approx(row["recip_rank"])
        # trec_eval divides by all true tags, the standard MAP@K by as many as fit
        assert ours.values["map@10"][int(i)] == pytest.approx(row["map_cut_10"] * size / min(size, 10))


def test_every_metric_agrees_with_a_slow_and_plain_definition():
    rows, truths = random_rankings(posts=200, seed=5)
    k = 7
    ids = [f"{name}@{k}" for name in ("p_adapt", "r_cap", "f1_posts", "ap_hit", "rr_truths", "ndcg_t")]
    ours = measure(ranked(rows), truths, ids)
    for i, (row, truth) in enumerate(zip(rows, truths, strict=True)):
        marks = [tag in truth for tag in row[:k]]
        h, ranks = sum(marks), [j + 1 for j, mark in enumerate(marks) if mark]
        precision, recall = h / k, h / len(truth)
        gain = sum(1 / np.log2(j + 1) for j in ranks)
        plain = {
            "p_adapt": h / len(marks) if marks else 0,
            "r_cap": h / min(len(truth), k),
            "f1_posts": 2 * precision * recall / (precision + recall) if h else 0,
            "ap_hit": sum(sum(marks[:j]) / j for j in ranks) / h if h else 0,
            "rr_truths": sum(1 / j for j in ranks) / len(truth),
            "ndcg_t": gain / sum(1 / np.log2(j + 2) for j in range(len(truth))),
        }
        for name, value in plain.items():
            assert ours.values[f"{name}@{k}"][i] == pytest.approx(value), (name, row, truth)


def test_tags_are_compared_by_key_and_repeats_count_once():
    assert one(["＃Tour", "tour", "TOUR"], {"tour", "rain"}, "p@3") == pytest.approx(1 / 3)
    assert one(["Tour", "tour"], {"tour", "rain"}, "r@2") == 0.5
    assert one(["tour", "tour", "rain"], {"tour", "rain"}, "ndcg@2") == 1.0


def test_posts_without_true_tags_are_left_out_of_every_score():
    names = [f"{name}@2" for name in metrics.metrics()]
    rows = [["a", "b"], ["a", "b"]]
    with_empty = measure(ranked(rows), [{"a"}, set()], names, among=every_one([{"a"}, set()]))
    alone = measure(ranked(rows[:1]), [{"a"}], names, among=every_one([{"a"}]))
    for name in names:
        assert summarise(with_empty, name) == summarise(alone, name)
    assert np.isnan(with_empty.values["p@2"][1])
    assert np.isnan(summarise(measure(ranked([["a"]]), [set()], ["p@1"]), "p@1"))


def test_truths_that_no_model_knows_stay_in_the_denominator():
    assert one(["a"], {"a", "never seen before"}, "r@10") == 0.5


def test_short_and_empty_rankings_lose_precision():
    assert one(["a"], {"a"}, "p@10") == 0.1
    assert one([], {"a"}, "ndcg@10") == 0
    assert one([], {"a"}, "p_adapt@10") == 0
    assert one(["a"], {"a"}, "p_adapt@10") == 1


def test_no_posts_at_all():
    assert np.isnan(summarise(measure(ranked([]), [], ["ndcg@10", "micro_f1@10"]), "micro_f1@10"))


@pytest.mark.parametrize("name", sorted(metrics.metrics().keys() - {count.__name__ for count in COUNTS}))
def test_the_range_in_the_docstring_holds_and_a_perfect_answer_reaches_its_top(name):
    low, high = (float(x) for x in parse(f"{name}@3")[0].range.split(",")[0].split(" to "))
    rows, truths = random_rankings(posts=50)
    truths = [sorted(row) for row in truths]
    value = summarise(measure(ranked(rows), truths, [f"{name}@5"], among=every_one(truths)), f"{name}@5")
    assert low <= value <= high
    perfect = ["a", "b"] if name == "rouge2" else ["a"]
    assert one(perfect, perfect, f"{name}@{len(perfect)}") == pytest.approx(high, abs=1e-4)


def test_every_metric_says_what_it_is():
    for metric in metrics.metrics().values():
        assert metric.about
        assert metric.formula
        assert metric.source
        assert metric.range.endswith("is better")


@pytest.mark.parametrize(
    ("name", "says"),
    [("ndgc@10", "did you mean 'ndcg@10'"), ("ndcg", "such as 'ndcg@10'"), ("p@0", "cut from 1"), ("p@x", "cut")],
)
def test_unknown_ids_are_refused_with_a_remedy(name, says):
    with pytest.raises(ValueError, match=says):
        measure(ranked([["a"]]), [{"a"}], [name])


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="1 rankings but 2 sets"):
        measure(ranked([["a"]]), [{"a"}, {"b"}], ["p@1"])
    with pytest.raises(ValueError, match="ask measure"):
        summarise(measure(ranked([["a"]]), [{"a"}], ["p@1"]), "f1_means@1")


def test_all_metrics_of_20000_posts_take_under_a_second():
    rng = np.random.default_rng(0)
    matrix = (rng.random((20_000, 15)) < 0.2).astype(float)
    hits = Hits(matrix, (matrix.sum(axis=1) + 1).astype(np.int64), np.full(20_000, 15))
    names = [f"{name}@{k}" for name in list(VECTORS)[:12] for k in range(1, 16)]
    start = time.process_time()
    score(hits, [str(i) for i in range(20_000)], names)
    assert time.process_time() - start < 8  # 1 s is the aim; what else the machine does makes it longer
