"""Questions that wait for a model are asked together: as many at once as it answers quickly, each as if alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import monotonic, sleep
from typing import Any

import pytest

from hashloom.recommenders.linear import Linear
from hashloom.serve import running as runs
from hashloom.serve.drafts import Answer, Draft
from hashloom.serve.engine import Engine
from hashloom.serve.running import LAST, USUAL, Joinable, NoAnswer, Running
from hashloom.types import Posts

PATIENCE = 120.0


@dataclass
class Asked(Joinable):
    """A question; the model is a list in which it notes with how many it came."""

    name: str
    kind: str = "plain"

    def joins(self, others: Sequence[Any]) -> bool:
        return all(getattr(one, "kind", "") == self.kind for one in others)

    def together(self, others: Sequence[Asked], model: list[str]) -> list[str]:
        names = [self.name, *(one.name for one in others)]
        if "bad" in names:
            raise RuntimeError("one of them spoils the batch")
        model.append("+".join(names))
        return [name.upper() for name in names]

    def __call__(self, model: list[str]) -> str:
        if self.name == "bad":
            raise RuntimeError("bad")
        model.append(self.name)
        return self.name.upper()


@dataclass
class Held:
    """A model whose thread is held until ``go``, so that what is asked meanwhile waits."""

    model: list[str] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.running = Running("a" * 64, self.model)
        self.running._pace = 1e-6
        began = threading.Event()
        self.first = self.running.later(lambda _: (began.set(), self.go.wait(PATIENCE)))
        assert began.wait(PATIENCE)

    def put(self, *names: str, turn: int = USUAL, kind: str = "plain") -> list[Future[str]]:
        return [self.running._put(Asked(name, kind), turn) for name in names]

    def said(self, asked: Sequence[Future[Any]]) -> list[Any]:
        self.go.set()
        return [one.exception(PATIENCE) or one.result() for one in asked]


@pytest.fixture
def held() -> Any:
    made = Held()
    yield made
    made.go.set()
    made.running.close()


def test_those_that_wait_are_asked_at_once_and_each_gets_its_own(held: Held) -> None:
    assert held.said(held.put("a", "b", "c")) == ["A", "B", "C"]
    assert held.model == ["a+b+c"]


def test_no_more_than_so_many(held: Held) -> None:
    names = [f"n{i}" for i in range(runs.TOGETHER + 2)]
    assert held.said(held.put(*names)) == [name.upper() for name in names]
    assert held.model == ["+".join(names[: runs.TOGETHER]), "+".join(names[runs.TOGETHER :])]


def test_one_that_fails_spoils_no_other(held: Held) -> None:
    a, bad, c = held.said(held.put("a", "bad", "c"))
    assert (a, str(bad), c) == ("A", "bad", "C")
    assert held.model == ["a", "c"]


def test_others_keep_their_turn(held: Held) -> None:
    asked = [*held.put("a"), held.running.later(lambda model: model.append("later")), *held.put("b", turn=LAST)]
    asked += [held.running.change(lambda model: model.append("change")), *held.put("c"), *held.put("d", kind="odd")]
    asked += held.put("e")
    held.said(asked)
    assert held.model == ["change", "a+c", "d", "e", "later", "b"]


def test_one_whose_caller_has_gone_is_not_asked(held: Held) -> None:
    asked = held.put("a", "b", "c")
    assert asked[1].cancel()
    assert held.said([asked[0], asked[2]]) == ["A", "C"]
    assert held.model == ["a+c"]


def test_where_all_callers_have_gone_the_thread_goes_on(held: Held) -> None:
    for one in [*held.put("a", "b"), *held.put("c", kind="odd")]:
        assert one.cancel()
    held.go.set()
    assert held.running.ask(Asked("d"), PATIENCE) == "D"
    assert held.model == ["d"]


def test_too_few_answers_are_none(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asked, "together", lambda self, others, model: [self.name])
    assert held.said(held.put("a", "b")) == ["A", "B"]
    assert held.model == ["a", "b"]


def test_a_slow_model_is_asked_one_by_one(held: Held) -> None:
    held.running._pace = runs.TOGETHER_SECONDS
    held.said(held.put("a", "b"))
    assert held.model == ["a", "b"]


def test_how_slow_a_model_is_follows_from_its_answers() -> None:
    running = Running("a" * 64, list[str]())
    assert running._pace == runs.TOGETHER_SECONDS
    for _ in range(100):
        running.ask(Asked("quick"), PATIENCE)
    running.ask(lambda _: None, PATIENCE)  # so that the hundredth is counted, too
    assert running._pace < runs.TOGETHER_SECONDS / 2
    running.close()


def test_a_thread_that_ends_answers_what_waits_before(held: Held) -> None:
    asked = held.put("a", "b")
    held.running.close()
    assert held.said(asked) == ["A", "B"]
    with pytest.raises(NoAnswer, match="taken out of service"):
        held.put("c")


# ---- in the engine


def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The texts that the model reads, call by call."""
    seen, sound = list[list[str]](), Linear._rank

    def noted(self: Linear, posts: Posts, *args: Any) -> Any:
        seen.append(list(posts.texts))
        return sound(self, posts, *args)

    monkeypatch.setattr(Linear, "_rank", noted)
    return seen


def asked_at_once(engine: Engine, drafts: Sequence[Draft]) -> list[Answer]:
    """The answers to drafts that are asked while the model's thread is held."""
    current = engine.current
    assert current is not None
    current.running._pace = 1e-6
    go, began = threading.Event(), threading.Event()
    current.running.later(lambda _: (began.set(), go.wait(PATIENCE)))
    assert began.wait(PATIENCE)
    with ThreadPoolExecutor(len(drafts)) as pool:
        asked = [pool.submit(engine.suggest, draft) for draft in drafts]
        end = monotonic() + PATIENCE / 2
        while (waiting := current.running._tasks.qsize()) < len(drafts) and monotonic() < end:
            sleep(0.005)
        go.set()
        assert waiting == len(drafts)
        return [one.result(PATIENCE) for one in asked]


DRAFTS = [Draft(text, "even", k=5) for text in ("rye flour kneaded", "oat flakes", "surf board waxed", "", "rye")]


def test_drafts_asked_together_are_answered_as_each_alone(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    engine = engine_of(budget=PATIENCE)
    alone = [engine.suggest(draft).suggestions for draft in DRAFTS]
    seen = batches(monkeypatch)
    together = asked_at_once(engine, DRAFTS)
    assert [answer.why for answer in together] == [""] * len(DRAFTS)
    assert [answer.suggestions for answer in together] == alone
    assert [sorted(texts) for texts in seen] == [sorted(draft.text for draft in DRAFTS)]


def test_other_numbers_of_tags_and_reasons_are_asked_apart(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    engine = engine_of(budget=PATIENCE)
    seen = batches(monkeypatch)
    asked_at_once(engine, [DRAFTS[0], replace(DRAFTS[1], explain=True), replace(DRAFTS[2], k=3)])
    assert sorted(map(len, seen)) == [1, 1, 1]


def test_drafts_of_one_post_are_asked_apart(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    engine = engine_of(budget=PATIENCE)
    seen = batches(monkeypatch)
    asked_at_once(engine, [replace(draft, post_id="p1") for draft in DRAFTS[:3]])
    assert list(map(len, seen)) == [1, 1, 1]


def test_a_draft_that_a_model_cannot_read_costs_only_itself(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    engine, sound = engine_of(budget=PATIENCE), Linear._rank

    def choosy(self: Linear, posts: Posts, *args: Any) -> Any:
        if "oat flakes" in posts.texts:
            raise RuntimeError("not this one")
        return sound(self, posts, *args)

    monkeypatch.setattr(Linear, "_rank", choosy)
    assert [answer.kind for answer in asked_at_once(engine, DRAFTS[:3])] == ["", "failed", ""]
