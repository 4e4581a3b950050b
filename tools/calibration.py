"""Makes docs/results/calibration.md: whether chances hold, how long lists should be, and what floors and dials cost.

    python tools/calibration.py                        # all sets; writes the page and its picture
    python tools/calibration.py lobsters               # this one alone, then the page of all that are measured
    python tools/calibration.py --recipe calibrated --set held.rounds=200

A fitted model and what was measured are kept under .cache/calibration, so that a run that was stopped goes on where it
was; ``--again`` measures anew with the kept model. Everything is chosen on the validation part (the one K, for which
answers of that part are asked) or on the latest training posts (the map); the test part is scored once. The posts are
looked for in ../shared/data; they are real people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from result_tables import ROOT, TABLES
from results import OUT

from hashloom import catalogue
from hashloom.data.split import Split, split
from hashloom.evaluate import answers, calibration, svg
from hashloom.evaluate.beyond import spread, tag_counts, truths
from hashloom.evaluate.calibration import Judged, area, best_fixed, brier, ece, f1_given
from hashloom.evaluate.compare import groups, resample
from hashloom.evaluate.figure import sheet
from hashloom.evaluate.metrics import measure
from hashloom.evaluate.protocol import seeded
from hashloom.evaluate.svg import Series
from hashloom.evaluate.tables import number
from hashloom.recommender import load
from hashloom.recommenders import _dials
from hashloom.recommenders._counts import joined
from hashloom.recommenders.calibrated import Calibrated
from hashloom.tags import key
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KEPT = ROOT / ".cache" / "calibration"
SETS = {
    "stackexchange": ("stackexchange", "Stack Exchange: four communities, by order of posting"),
    "lobsters": ("lobsters-personal", "Lobsters: the latest 20,000 posts, by time"),
    "lobsters-all": ("lobsters", "Lobsters: all posts, by time"),
}
"""A set's name, the table of result_tables.py that has its posts, and its heading."""
FLOORS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
DIALS = (0.1, 0.25, 0.5, 1.0)
COVERED = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
ABOUT = (
    "The recipe `calibrated`: the recommender `loom`, whose scores become the chance that a tag is true. ECE is "
    "the expected calibration error with {bins} bins of equal mass over the first ten suggestions. F1 is that of "
    "each post over the tags suggested to it, however many, then averaged. *True* is the share of suggestions "
    "that are true, *found* the share of all true tags that are suggested. Risk is the share of posts whose first "
    "suggestion is wrong, or 1 - F1, on the posts that the model is surest of (by the first chance). Likeness is "
    "the cosine of two tags over the training posts that carry them; mean uses counts the training posts that "
    "carry a suggested tag. Costs of dials are differences in NDCG@10."
)
REFIT = (
    "Novelty moves nothing on Stack Exchange, where neither authors nor times are known.\n\nThe held recommender "
    "learns from the first nine tenths of the training posts, teaches the map on the rest, and is then told of "
    "them by `update`. Trained again on everything (`refit = true`), it no longer fits its map, since a boosted "
    "ranker's scores stretch with the number of its trees."
)
FIRST = 5
"""How many of the first suggestions are looked at for their likeness."""


def recipe_of(name: str, changes: Sequence[str]) -> dict[str, Any]:
    """The recipe with single settings changed."""
    recipe = catalogue.recipe(name)
    for change in changes:
        recipe = recipe | {"model": catalogue.override(recipe["model"], change)}
    return recipe


def fitted(recipe: dict[str, Any], made: Split, folder: Path) -> Calibrated:
    """The recipe's model, learnt from the training part or as it was kept."""
    if not (folder / "manifest.json").is_file():
        model = catalogue.build(seeded(recipe["model"], 0)).fit(made.train)
        model.save(folder, recipe=recipe["name"], split={"how": made.how, "seed": made.seed, "id": made.id})
    kept: Calibrated = load(folder)
    return kept


class Asked:
    """A part's posts and what the model says of them; the held recommender is asked once, however dials stand."""

    def __init__(self, model: Calibrated, posts: Posts, history: Posts | None) -> None:
        self.posts, self.history, self.true, self.held = posts, history, truths(posts), model.held
        self.known: dict[Any, Rankings] = {}
        self.model = copy.copy(model)
        self.model._held = self._held  # type: ignore[method-assign]

    def _held(self, posts: Posts, k: int, history: Any, explain: bool = False) -> Rankings:
        at = (tuple(posts.ids), k)
        if at not in self.known:
            self.known[at] = self.held._rank(posts, k, history, explain)
        return self.known[at]

    def say(self, /, k: int = 10, **turned: Any) -> Rankings:
        """The answers with settings turned."""
        return self.model.turned(**turned).recommend(self.posts, k, history=self.history)

    def raw(self) -> Rankings:
        """The held recommender's own scores; after ``say``."""
        return Rankings.concat(list(self.known.values()))


def measured(name: str, recipe: dict[str, Any], again: bool) -> dict[str, Any]:
    """A set's section and charts, made or as kept."""
    table, title = SETS[name]
    made = split(TABLES[table].posts())
    folder = answers.place(KEPT, recipe, made.id, 0).with_suffix("")
    path = folder.with_name(f"{folder.name}-{name}.json")
    if path.is_file() and not again:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    model = fitted(recipe, made, folder)
    tuning = Asked(model, made.validation.tagged(), None)
    chosen = best_fixed(tuning.say(), tuning.true)
    test = Asked(model, made.test.tagged(), made.validation)
    found = section(title, made, model, tuning, test, chosen)
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return found


def section(title: str, made: Split, model: Calibrated, tuning: Asked, test: Asked, chosen: int) -> dict[str, Any]:
    """All figures of a set, as text and as charts."""
    given, adaptive = test.say(), test.say(adaptive=True)
    judged, raw = Judged.of(given, test.true), Judged.of(test.raw(), test.true)
    first = (judged.chances[_firsts(judged)], judged.true[_firsts(judged)].astype(np.float64))
    first_raw = (raw.chances[_firsts(raw)], raw.true[_firsts(raw)].astype(np.float64))
    f1 = f1_given(adaptive, test.true)
    curves = {
        "first tag: scores as they are": calibration.risk_coverage(first_raw[0], 1 - first_raw[1]),
        "first tag: chances": calibration.risk_coverage(first[0], 1 - first[1]),
        "adaptive list, 1 - F1: chances": calibration.risk_coverage(first[0], 1 - f1),
    }
    said = model.chances_
    loss = ", ".join(f"{way} {value:.4f}" for way, value in said["losses"].items())
    learnt = f"{len(made.train.tagged()):,} training posts, {len(tuning.posts):,} validation, {len(test.posts):,} test"
    about = (
        f"{learnt} (split `{made.id}`). The map is *{said['way']}*, from the latest {said['posts']:,} training posts; "
        f"log loss on the last third of them: {loss}. NDCG@10 {number(_ndcg(given, test))}."
    )
    parts = [
        f"### {title}",
        about,
        errors(raw, judged, test),
        lengths(test, given, f1, adaptive, chosen),
        floors(test),
        risks(curves),
        dials(test, made),
    ]
    fixed = [(float(k), float(np.nanmean(f1_given(given, test.true, k)))) for k in range(1, 11)]
    level = [(float(k), float(np.nanmean(f1))) for k in range(1, 11)]
    k_chart = [Series("adaptive", level, "s2"), Series("one K for all", fixed, "s1", ring=chosen - 1)]
    charts = [
        ("Reliability", calibration.reliability({"scores": _bins(raw), "chances": _bins(judged)})),
        ("Risk and coverage", calibration.chart(_curves(curves), "Risk against coverage", "share of posts answered")),
        ("F1 (posts) and K", svg.lines(k_chart, "F1 of each K and of adaptive lists", "K")),
    ]
    return {"title": title, "text": "\n\n".join(parts), "charts": charts, "ece": ece(judged.chances, judged.true)}


def _firsts(judged: Judged) -> NDArray[np.int64]:
    return np.unique(judged.post, return_index=True)[1]


def _bins(judged: Judged) -> list[calibration.Bin]:
    return calibration.bins(np.clip(judged.chances, 0, 1), judged.true)


def _curves(curves: dict[str, Any]) -> list[Series]:
    return [Series(name, points, f"s{i}") for i, (name, points) in enumerate(curves.items(), 1)]


def _ndcg(given: Rankings, test: Asked) -> float:
    return measure(given, test.true, ["ndcg@10"]).mean("ndcg@10")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is words."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def errors(raw: Judged, judged: Judged, test: Asked) -> str:
    """ECE and Brier score of scores as they are and of chances; first ten, first, and worst community."""
    rows = []
    for name, one in (("scores as they are", raw), ("chances", judged)):
        p = np.clip(one.chances, 0, 1)
        at = _firsts(one)
        place = np.array(test.posts.communities, dtype=object)[one.post]
        worst = max((ece(p[place == c], one.true[place == c]), c) for c in sorted(set(place)))
        figures = [ece(p, one.true), ece(p[at], one.true[at]), brier(p, one.true)]
        rows.append([name, *map(_fine, figures), f"{_fine(worst[0])} ({worst[1]})", _fine(float(p.mean()))])
    rows.append(["(share that is true)", "", "", "", "", _fine(float(judged.true.mean()))])
    heads = ["", "ECE, first 10", "ECE, first", "Brier", "ECE, worst community", "mean"]
    return table(heads, rows)


def _fine(value: float) -> str:
    return f"{value:.4f}"


def lengths(test: Asked, given: Rankings, f1: Floats, adaptive: Rankings, chosen: int) -> str:
    """F1 of adaptive lists beside that of the best fixed K, with the interval of the difference."""
    fixed = f1_given(given, test.true, chosen)
    users = test.posts.users if sum(u is not None for u in test.posts.users) > 20 else None
    means = resample(np.stack([f1, fixed], axis=1), groups(users, len(f1)), 2000, 0)
    low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
    best = max(range(1, 11), key=lambda k: float(np.nanmean(f1_given(given, test.true, k))))
    mean = float(adaptive.lengths.mean())
    rows = [
        ["adaptive", f"{mean:.2f} on average", number(float(f1.mean()))],
        [f"K = {chosen}, chosen on validation", str(chosen), number(float(fixed.mean()))],
        [
            f"K = {best}, best on the test part",
            str(best),
            number(float(np.nanmean(f1_given(given, test.true, best)))),
        ],
    ]
    gap = f"Adaptive less the chosen K: {number(float((f1 - fixed).mean()))} [{number(low)}, {number(high)}]."
    return table(["length", "tags", "F1 (posts)"], rows) + "\n\n" + gap


def floors(test: Asked) -> str:
    """What each floor leaves, of up to ten suggestions and of adaptive lists."""
    rows = []
    for floor in FLOORS:
        row = [f"{floor:g}"]
        for adaptive in (False, True):
            found = test.say(floor=floor, adaptive=adaptive)
            hits = Judged.of(found, test.true).true
            carried = sum(map(len, test.true))
            f1 = float(np.mean(f1_given(found, test.true)))
            some = float((found.lengths > 0).mean())
            row += [f"{some:.1%}", f"{found.lengths.mean():.2f}", number(float(hits.mean()) if len(hits) else np.nan)]
            row += [number(float(hits.sum() / carried)), number(f1)]
        rows.append(row)
    each = ["posts with tags", "tags", "true", "found", "F1"]
    heads = ["floor", *each, *(f"adaptive: {name}" for name in each)]
    return table(heads, rows)


def risks(curves: dict[str, Any]) -> str:
    """The risk on the surest share of the posts."""
    rows = []
    for name, curve in curves.items():
        at = [min(curve, key=lambda point, share=share: abs(point[0] - share))[1] for share in COVERED]  # type: ignore[misc]
        rows.append([name, *(number(risk) for risk in at), number(area(curve))])
    return table(["risk on the surest …", *(f"{share:.0%}" for share in COVERED), "area"], rows)


def dials(test: Asked, made: Split) -> str:
    """Each dial at each turn: NDCG@10 and its cost, and what it is turned for."""
    counts, base = tag_counts(made.train), _ndcg(test.say(), test)
    rows = [["off", number(base), "", *_effects(test, test.say(), counts)]]
    for dial in ("popularity", "diversity", "novelty"):
        for turn in DIALS:
            given = test.say(10, **{dial: turn})
            ndcg = _ndcg(given, test)
            rows.append([f"{dial} {turn:g}", number(ndcg), f"{ndcg - base:+.3f}", *_effects(test, given, counts)])
    heads = ["dial", "NDCG@10", "cost", "mean uses", "coverage", "likeness of the first 5", "new to author or young"]
    return table(heads, rows)


def _effects(test: Asked, given: Rankings, counts: Any) -> list[str]:
    found = spread(given, test.posts.communities, counts)
    model, past = test.model, test.model._past_with(test.history)
    likeness, new, shown = [], 0, 0
    own = past.before(test.posts)
    for i, community in enumerate(test.posts.communities):
        tags = [key(tag) for tag in given.row(i)[0].tolist()]
        used = {tag for row in own[i].tolist() for tag in past.posts.tags[row]}
        moment = int(test.posts.times[i])
        new += sum(model._young(community, tag, moment) or tag not in used for tag in tags)
        shown += len(tags)
        likeness.append(_likeness(model, tags[:FIRST]))
    values = [f"{found.popularity:.0f}", number(found.coverage), f"{np.nanmean(likeness):.3f}", number(new / shown)]
    return values


def _likeness(model: Calibrated, tags: list[str]) -> float:
    """The mean likeness of two of the tags."""
    counts = model._counts
    code = np.array([counts.code.get(tag, len(counts.tags)) for tag in tags], dtype=np.int64)
    if len(code) < 2:
        return float("nan")
    company = counts.company.of(joined(code[:, None], code[None, :]).ravel()).reshape(len(code), -1)
    found = _dials.alike(company, np.append(counts.alone, 0)[code])
    return float(found[np.triu_indices(len(code), 1)].mean())


def page(found: Sequence[dict[str, Any]], say: Callable[[str], None]) -> None:
    """The page and its picture, from what was measured of each set."""
    charts = [(f"{one['title'].partition(':')[0]}: {head}", chart) for one in found for head, chart in one["charts"]]
    names = ["scores as they are, one K for all", "chances, adaptive lists", "1 - F1 of adaptive lists"]
    legend = [(name, f"s{i}") for i, name in enumerate(names, 1)]
    drawn = sheet(charts, [*legend, ("as said", "floor")], "Reliability, risk against coverage and F1 against K")
    ElementTree.fromstring(drawn)
    about = ABOUT.format(bins=calibration.BINS)
    parts = ["## Calibrated answers", about, REFIT, "`python tools/calibration.py`", *(one["text"] for one in found)]
    parts.insert(4, "![Reliability, risk against coverage, F1 against K](calibration-curves.svg)")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "calibration-curves.svg").write_text(drawn, encoding="utf-8")
    (OUT / "calibration.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    say(f"{OUT / 'calibration.md'}; ECE " + ", ".join(f"{one['title']} {one['ece']:.4f}" for one in found))


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; default: all")
    parser.add_argument("--recipe", default="calibrated")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="a setting: field=value")
    parser.add_argument("--again", action="store_true", help="measure anew; the kept model stays")
    given = parser.parse_args()
    os.chdir(ROOT)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = recipe_of(given.recipe, given.changes)
    page([measured(name, recipe, given.again) for name in given.sets or SETS], print)


if __name__ == "__main__":
    main()
