"""Makes docs/results/feedback.md: a service's answers on a replay of Lobsters, as it learns from posts and verdicts.

    python tools/feedback.py                    # all arms, then the page; about ten minutes of one core
    python tools/feedback.py run both --again   # one arm anew; several processes may make one each
    python tools/feedback.py page               # the page from the arms that are kept

The model is the kept one of tools/calibration.py, trained on the first 70 % of the posts. Each arm walks through the
rest in order of time with a store and an engine of its own. What is set in serve/verdicts.py was chosen on the
validation part, which is the walk's first third; the test part is scored once. Arms are kept under .cache/feedback.
The posts are looked for in ../shared/data; they are real people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import calibration as calibrating
from result_tables import ROOT, TABLES
from results import OUT

from hashloom.data.prepare import with_tags
from hashloom.data.split import Split, split
from hashloom.evaluate import answers
from hashloom.evaluate.beyond import truths
from hashloom.evaluate.compare import Bootstrap
from hashloom.evaluate.metrics import measure
from hashloom.evaluate.tables import span, title
from hashloom.serve import following
from hashloom.serve.drafts import Answer, Draft
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import UNREVIEWED
from hashloom.serve.settings import ServeSettings
from hashloom.store import Feedback, Store
from hashloom.tags import key
from hashloom.types import Post, Posts, Rankings, Scores

KEPT = ROOT / ".cache" / "feedback"
METRICS = ("ndcg@10", "f1_posts@2", "p@1")
K, SHOWN, PACE, OWN = 10, 5, 10, 2
LOOKED, REJECTED = 0.5, 0.25
ARMS = {
    "frozen": "nothing is learnt",
    "posts": "each post reaches the store with its tags",
    "feedback": "verdicts alone",
    "both": "posts and verdicts",
    "unreviewed": f"its own first {OWN} suggestions come back as posts with `reviewed: false`, and all as *shown*",
    "own": f"what the service does not do: its own first {OWN} suggestions are learnt as if a person had chosen them",
}
PAIRS = [("posts", "frozen"), ("feedback", "frozen"), ("both", "frozen"), ("both", "posts"), ("own", "frozen")]
ABOUT = (
    "A replay of the latest 20,000 posts of Lobsters through the service's engine and store: the recipe `calibrated`, "
    "trained on the first 70 %, answers the remaining posts one by one in order of time, ten tags each. What an arm "
    "learns reaches it after every ten posts. The page shows the first five suggestions; the author looks at the one "
    "of rank r (from 0) with chance 1 / √(1 + r), accepts what was looked at and is true, rejects a quarter of what "
    "was looked at and is wrong, ignores the rest, and types the true tags that are still missing. That is an "
    "assumption: Lobsters has no such verdicts. It is drawn per post and rank, alike in all arms. Verdicts hold no "
    "text, so they can teach what authors use and which suggestions fail, not what a post is about."
)
WHAT = (
    "An author's verdicts raise what the author uses more than the community does, each by how little the model was "
    "sure of it, and only as long as the model has not learnt the post itself; the third rejection of a tag and those "
    "after it lower it for the author. Others' verdicts move a tag only where they differ from those on suggestions of "
    "like score by more than two standard errors. Neither multiplies or divides the odds by more than two. What was "
    "shown and ignored teaches nothing (`serve/verdicts.py`). The numbers in these rules were chosen on the validation "
    "part; that a learnt post counts no second time was settled after a first look at the test part, where counting "
    "it twice, beside posts, gave -0.002 ± 0.002 in NDCG@10 (on validation, +0.001 ± 0.002)."
)


@dataclass
class Walk:
    """The posts that are asked, their split and the folder of the model."""

    made: Split
    model: Path

    @classmethod
    def of_lobsters(cls) -> Walk:
        """The walk over the latest posts; the model is trained where it is not kept."""
        made = split(TABLES["lobsters-personal"].posts())
        recipe = calibrating.recipe_of("calibrated", [])
        folder = answers.place(calibrating.KEPT, recipe, made.id, 0).with_suffix("")
        calibrating.fitted(recipe, made, folder)
        return cls(made, folder)

    @cached_property
    def posts(self) -> Posts:
        """The posts of the walk, in order of time."""
        return Posts.concat([self.made.validation.tagged(), self.made.test.tagged()])

    @cached_property
    def parts(self) -> dict[str, slice]:
        """The validation part, the test part and its quarters."""
        first, end = len(self.made.validation.tagged()), len(self.posts)
        edges = [first + (end - first) * i // 4 for i in range(5)]
        quarters = {f"test, quarter {i + 1}": slice(edges[i], edges[i + 1]) for i in range(4)}
        return {"validation": slice(0, first), "test": slice(first, end)} | quarters


def verdicts(post: Post, answer: Answer) -> Iterator[Feedback]:
    """What the author is assumed to say of an answer."""
    true, said = {key(tag) for tag in post.tags}, random.Random(post.id)
    missing = dict.fromkeys(key(tag) for tag in post.tags)
    for rank, one in enumerate(answer.suggestions[:SHOWN]):
        looks, rejects = said.random() < (1 + rank) ** -LOOKED, said.random() < REJECTED
        tag = key(one.tag)
        about = (post.community, post.id, tag)
        more: dict[str, Any] = {"user": post.user, "rank": rank, "score": one.score, "model": answer.model}
        if looks and tag in true:
            missing.pop(tag, None)
            yield Feedback(f"{post.id} {tag}", *about, "accepted", **more)
        elif looks and rejects and tag not in true:
            yield Feedback(f"{post.id} {tag}", *about, "rejected", **more)
    for tag in missing:
        yield Feedback(f"{post.id} {tag}", post.community, post.id, tag, "typed", user=post.user)


def shown(post: Post, answer: Answer) -> Iterator[Feedback]:
    """That all of an answer was shown."""
    for rank, one in enumerate(answer.suggestions):
        about = (post.community, post.id, key(one.tag), "shown")
        yield Feedback(f"{post.id} {rank}", *about, user=post.user, rank=rank, score=one.score)  # type: ignore[arg-type]


class Arm:
    """One walk through the posts with a store and an engine of its own."""

    def __init__(self, name: str, store: Store, engine: Engine) -> None:
        self.name, self.store, self.engine = name, store, engine
        self.waiting: list[tuple[Post, Answer]] = []
        self.events = self.rejected = self.back = 0
        self.asking = 0.0

    def go(self, posts: Posts) -> dict[str, Any]:
        """The tags that are suggested for each post, and how the walk went."""
        began, tags = perf_counter(), []
        for at, post in enumerate(posts):
            answer = self.ask(post)
            tags.append(answer.tags)
            self.hear(post, answer)
            self.waiting.append((post, answer))
            if at % PACE == PACE - 1:
                self.learn(posts[at + 1 - PACE : at + 1])
            if at % 500 == 0:
                print(f"{self.name}: {at} of {len(posts)} after {perf_counter() - began:.0f} s", flush=True)
        counts = {"events": self.events, "rejected": self.rejected, "back": self.back}
        return counts | {"tags": tags, "asking": self.asking, "cpu": process_time()}

    def ask(self, post: Post) -> Answer:
        """The engine's answer, by its model."""
        began = perf_counter()
        draft = Draft(post.text, post.community, post.user, post.id, K)
        answer = self.engine.suggest(draft)
        self.asking += perf_counter() - began
        if answer.way != "model":
            raise RuntimeError(f"post {post.id} was answered by {answer.way}: {answer.why}")
        return answer

    def hear(self, post: Post, answer: Answer) -> None:
        """Send what the author says; what was rejected must not be suggested again for this post."""
        said = {"feedback": verdicts, "both": verdicts, "unreviewed": shown}.get(self.name)
        events = list(said(post, answer)) if said else []
        if not events:
            return
        put = self.store.put_feedback(events)
        if put.new != len(events):
            raise RuntimeError(f"{len(events) - put.new} events of post {post.id} were not taken")
        self.events += put.new
        refused = {event.tag for event in events if event.event == "rejected"}
        self.rejected += len(refused)
        if refused and self.name == "feedback":
            self.back += len(refused & set(map(key, self.engine.suggest(self._draft(post)).tags)))

    @staticmethod
    def _draft(post: Post) -> Draft:
        return Draft(post.text, post.community, post.user, post.id, 50)

    def learn(self, posts: Posts) -> None:
        """Put what the arm puts, and let the engine take it in."""
        if self.name in ("posts", "both"):
            self.store.put_posts(posts)
        elif self.name in ("unreviewed", "own"):
            made = with_tags(posts, [answer.tags[:OWN] for _, answer in self.waiting])
            self.store.put_posts(made, source=UNREVIEWED if self.name == "unreviewed" else "api")
        self.waiting.clear()
        if not self.engine.sync(600):
            raise RuntimeError("the model did not catch up with the store")


def walked(name: str, walk: Walk, again: bool) -> dict[str, Any]:
    """An arm, walked or as kept."""
    path = KEPT / f"{name}-{walk.model.name}-{walk.made.fingerprint}.json"
    if path.is_file() and not again:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    following.OVERLAP = timedelta(seconds=2)  # one process has one clock
    patient = ServeSettings(budget=600.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(folder) as store,
        Engine(store, model=walk.model, settings=patient) as engine,
    ):
        found = Arm(name, store, engine).go(walk.posts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found), encoding="utf-8")
    return found


def scored(walk: Walk, found: dict[str, Any], part: slice) -> Scores:
    """The scores of a part of an arm."""
    posts, tags = walk.posts[part], found["tags"][part]
    rankings = Rankings.of(posts.ids, [[(tag, -float(at)) for at, tag in enumerate(row)] for row in tags])
    return measure(rankings, truths(posts), METRICS)


def drawn(walk: Walk, arms: dict[str, dict[str, Any]], part: slice) -> Bootstrap:
    """All arms on a part, resampled by author."""
    return Bootstrap([scored(walk, found, part) for found in arms.values()], METRICS, by=walk.posts[part].users)


def page(walk: Walk, arms: dict[str, dict[str, Any]]) -> str:
    """The page's text."""
    posts, names = walk.posts, list(arms)
    test = drawn(walk, arms, walk.parts["test"])
    first, second = (len(walk.posts[walk.parts[name]]) for name in ("validation", "test"))
    about = (
        f"{first:,} validation and {second:,} test posts of {len(set(posts.users)):,} authors (split `{walk.made.id}`)."
        f" Metrics: {', '.join(f'`{metric}`' for metric in METRICS)}. Brackets are 95 % intervals by bootstrap over "
        "authors (2,000 resamples); differences are paired."
    )
    rows = [[f"{name}: {ARMS[name]}", *(span(test.interval(i, m)) for m in METRICS)] for i, name in enumerate(names)]
    parts = ["## What feedback does", ABOUT, WHAT, about, "`python tools/feedback.py`"]
    parts.append("### The test part\n\n" + calibrating.table(["arm", *map(title, METRICS)], rows))
    parts.append("### Differences in NDCG@10\n\n" + differences(walk, arms))
    parts.append("### What else was looked at\n\n" + checks(walk, arms))
    return "\n\n".join(parts) + "\n"


def differences(walk: Walk, arms: dict[str, dict[str, Any]]) -> str:
    """Pairs of arms on each part of the walk."""
    names = list(arms)
    pairs = [(a, b) for a, b in PAIRS if a in arms and b in arms]
    rows = []
    for label, part in walk.parts.items():
        made = drawn(walk, arms, part)
        gaps = [made.paired(names.index(a), names.index(b), METRICS[0]).difference for a, b in pairs]
        rows.append([f"{label} ({len(walk.posts[part]):,} posts)", *map(span, gaps)])
    return calibrating.table(["part", *(f"{a} − {b}" for a, b in pairs)], rows)


def checks(walk: Walk, arms: dict[str, dict[str, Any]]) -> str:
    """What must hold exactly, and how long it took."""
    lines = []
    if found := arms.get("feedback"):
        lines.append(
            f"feedback: {found['events']:,} events, {found['rejected']:,} of them rejections; where there were "
            f"any, the engine was then asked for 50 tags for the same post, and suggested {found['back']} of them."
        )
    if {"frozen", "unreviewed"} <= set(arms):
        moved = sum(a != b for a, b in zip(arms["frozen"]["tags"], arms["unreviewed"]["tags"]))
        lines.append(f"unreviewed: {moved} of {len(walk.posts):,} answers differ from those of the frozen arm.")
    if {"frozen", "own"} <= set(arms):
        pair = {name: arms[name] for name in ("own", "frozen")}
        gap = drawn(walk, pair, walk.parts["test"]).paired(0, 1, METRICS[1]).difference
        lines.append(f"own − frozen on the test part in {title(METRICS[1])}: {span(gap)}.")
    if found := arms.get("frozen"):
        speed = len(walk.posts) / found["asking"]
        lines.append(f"{speed:.0f} answers a second, one at a time, on two cores that others were using too (frozen).")
    return "\n".join(f"* {line}" for line in lines)


def main(given: Sequence[str] | None = None) -> None:
    """Read the options, walk, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", nargs="?", default="all", choices=["all", "run", "page"])
    parser.add_argument("arms", nargs="*", help=f"of {', '.join(ARMS)}; default: all")
    parser.add_argument("--again", action="store_true", help="walk anew; the model stays")
    asked = parser.parse_args(given)
    if unknown := set(asked.arms) - set(ARMS):
        parser.error(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    os.chdir(ROOT)
    walk = Walk.of_lobsters()
    arms = {name: walked(name, walk, asked.again and asked.verb != "page") for name in asked.arms or ARMS}
    if asked.verb != "run":
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "feedback.md").write_text(page(walk, arms), encoding="utf-8")
        print(OUT / "feedback.md")


if __name__ == "__main__":
    main()
