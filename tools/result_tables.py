"""Which tables docs/results.md shows: the posts of each, the split, the rows, and what each row changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.data.split import How
from hashloom.types import Posts

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PAPER = ["commune-lightgbm", "commune-lightgbm-simple", "commune-two-stage"]
MINILM = [("encoder.weights", "minilm"), ("encoder.max_tokens", "128"), ("depth", "20")]
COUNTING = ["popular", "own-frequency", "own-recency"]
HABIT = ["own-frequency", "own-recency", "nearest-own", "two-stage", "loom"]
"""Rows that know all tags of their memory: an author's own tags are worth most where few others use them."""
SEEDS = (0,)
THREE = (0, 1, 2)
PICTURES = [
    (
        "image",
        '{image = "onnx", path = "../shared/data/encoders/mobilenet_v2/model.onnx", cache = ".cache/pictures"}',
    )
]
UNSEEING = [("image", "none")]
PERSONAL = "macon"
"""The model whose memory the history tables change."""
RULES = (
    "fixed",
    "redrawn",
    "recent",
    "similar",
    "similar_recent",
    "diverse",
    "everything",
    "tag_memory",
    "community",
)
SIZES = (1, 2, 4, 8, 16, 64)

Changes = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """One table: which posts, which rows and what is said of it.

    A row is a recipe's name, with ", " and a word behind where one recipe has several rows; ``changes`` are fields
    set in one row, ``settings`` fields set in every part of every row that has them. ``latest``: only so many posts,
    the latest; ``every``: only each so manieth. ``min_tag_count``: tags on fewer training posts are no part of the
    vocabulary (they stay true tags all the same), but of the rows ``all_tags``. ``pairs``: rows told apart by name.
    ``metrics`` and ``spreads``: what is shown, if not the usual.
    """

    title: str
    file: str
    recipes: Sequence[str]
    every: int = 1
    latest: int = 0
    tagged_only: bool = False
    min_tag_count: int = 1
    all_tags: Sequence[str] = ()
    split: How = "time"
    seeds: Sequence[int] = (0,)
    changes: Mapping[str, Changes] = field(default_factory=dict)
    settings: Changes = ()
    pairs: Sequence[tuple[str, str]] = ()
    makers: bool = True
    metrics: Sequence[str] = ()
    spreads: bool = False
    about: str = ""

    def posts(self) -> Posts:
        """The table's posts, in order of time."""
        posts = read(DATA / self.file)[0].in_order()
        posts = posts.tagged() if self.tagged_only else posts
        posts = posts[-self.latest :] if self.latest else posts
        return Posts(posts.frame[:: self.every]) if self.every > 1 else posts

    def rows(self) -> list[dict[str, Any]]:
        """The recipes of all rows, changed as the table says."""
        for name in [*self.changes, *self.all_tags, *(name for pair in self.pairs for name in pair)]:
            if name not in self.recipes:
                raise ValueError(f"{self.title}: {name!r} is no row of this table")
        return [self.row(name) for name in self.recipes]

    def row(self, name: str) -> dict[str, Any]:
        """One row's recipe."""
        recipe = catalogue.recipe(name.partition(", ")[0])
        model = recipe["model"]
        for path, value in self.changes.get(name, ()):
            model = catalogue.override(model, f"{path}={value}")
        for path, value in self.settings:
            model = set_where_known(model, path, value)
        prepare = recipe["prepare"]
        if self.min_tag_count > 1 and name not in self.all_tags:
            prepare = prepare | {"min_tag_count": self.min_tag_count}
        return recipe | {"name": name, "model": model, "prepare": prepare}


def set_where_known(settings: Any, path: str, value: str) -> Any:
    """Settings in which every part that has the field ``path`` (dots go inside it) is given ``value``.

    >>> held = {"model": "rerank", "makers": [{"model": "popular"}, {"model": "nearest"}]}
    >>> set_where_known(held, "neighbours", "7")["makers"]
    [{'model': 'popular'}, {'model': 'nearest', 'neighbours': 7}]
    """
    if isinstance(settings, list):
        return [set_where_known(each, path, value) for each in settings]
    if not isinstance(settings, Mapping):
        return settings
    made = {name: set_where_known(held, path, value) for name, held in settings.items()}
    room = next((room for room, word in catalogue.ROOMS.items() if word in made), None)
    known = [f.name for f in fields(catalogue.find(room, made[catalogue.ROOMS[room]]))] if room else []
    return catalogue.override(made, f"{path}={value}") if path.partition(".")[0] in known else made


def _tokenisers(*modes: str) -> dict[str, Changes]:
    return {
        f"{recipe}, {mode}": [("tokens", f'{{encoder = "tokens", japanese = "{mode}"}}')]
        for recipe in ("linear", "nearest")
        for mode in modes
    }


def _selections(model: str) -> Iterator[tuple[str, Changes]]:
    """Every rule at one size, and two of them at all sizes; bounded to eight passes each."""
    for rule in RULES:
        for size in SIZES if rule in ("fixed", "similar_recent") else (4,):
            chosen = f'{{selection = "{rule}", size = {size}}}'
            yield f"{model}, {rule} {size}", [("selection", chosen), ("epochs", "8")]


def _history(title: str, like: Table, latest: int = 0) -> Table:
    changes = dict(_selections(PERSONAL))
    return Table(
        title,
        like.file,
        [*changes, *COUNTING],
        latest=latest,
        tagged_only=like.tagged_only,
        min_tag_count=like.min_tag_count,
        all_tags=[name for name in like.all_tags if name in COUNTING],
        seeds=like.seeds,
        changes=changes,
        settings=like.settings,
        about="A row is a rule that chooses earlier posts, and how many of them the model reads; `fixed` is the choice "
        "at random of the papers. Each row is trained for eight passes at most.",
    )


TOKENISED = _tokenisers("unidic", "ipadic", "sudachi_a", "sudachi_b", "sudachi_c")
MODELS = ["nearest-own", "linear", "two-stage", "loom"]
DESIGN = ["design", "design-classifier", "design-generator"]
READERS = ["coa", "amnn", "macon", "macon-code", "tagnet", *DESIGN]
"""Networks that run on every set."""
HABITUAL = ["macon-no-habit", "macon-mask-bug", "design-extended", "hybrid"]
"""Rows that tell something only where there are earlier posts."""
SEEING = ["coa-sum", "macon-no-picture", "macon-no-text", "design-weighted"]
"""Rows that tell something only where there are pictures."""
FUSED = [("design-weighted", "design"), ("coa-sum", "coa")]
REMEMBERED = [("macon", "macon-no-habit"), ("macon", "macon-mask-bug"), ("design-extended", "design")]
SAYING = ["design", "design-weighted", "design-generator", "design-extended"]
"""Rows that say tags one after the other; slow where posts carry many of thousands of tags."""
INSTAGRAM = Table(
    "Instagram: tagged posts, authors known, by time",
    "instagram_2019/posts.jsonl",
    [*COUNTING, *MODELS, *READERS, *HABITUAL, *SEEING],
    tagged_only=True,
    min_tag_count=5,
    all_tags=HABIT,
    seeds=SEEDS,
    changes={name: [("epochs", "10")] for name in SAYING},
    settings=PICTURES,
    pairs=[*FUSED, *REMEMBERED],
    makers=False,
    about="Tags on fewer than five training posts are no part of a model's vocabulary; they stay true tags all the "
    "same. Rows that remember an author's own posts remember all their tags. Pictures are thumbnails of 42 pixels. "
    "DESIGN with its generator was bounded to ten passes.",
)
LOBSTERS = Table(
    "Lobsters, personal: the latest 20,000 posts, by time",
    "lobsters/posts.parquet",
    [*COUNTING, *MODELS, *READERS, *HABITUAL],
    latest=20_000,
    seeds=SEEDS,
    settings=UNSEEING,
    pairs=REMEMBERED,
    makers=False,
    about="Text and habit alone; there are no pictures.",
)

WORDS = (
    *("ndcg@10", "micro_p@1", "micro_r@1", "micro_f1@1", "micro_p@5", "micro_r@5", "micro_f1@5"),
    *("rouge1@5", "rouge2@5", "rougeL@5", "novel_r@10"),
)
"""RIGHT's metrics beside ours, and the recall of tags that no training post carries."""
RIGHTS = [
    "right",
    "right-none",
    "right-no-selector",
    "right-random",
    "right-random-order",
    "right-dense",
    "right-tuned",
]
OPEN = ["right-wide", "macon-right", "two-tower", "trending", "loom", "loom-right"]
RIGHT_PAIRS = [("right", "right-none"), ("right", "right-no-selector"), ("loom-right", "loom")]
SLOW = ["right-random", "right-random-order", "right-dense", "right-tuned", "macon-right", "loom-right"]
"""Rows made on one set alone, since each takes minutes."""
CHAT = ["llm", "llm-zero-shot"]
ENDPOINT = 8399
"""The port of the local server that the language models' rows ask."""


def _words(title: str, file: str, more: Sequence[str], left_out: Sequence[str] = (), **fields: Any) -> Table:
    rows = ["popular", "nearest", "linear", *more, *RIGHTS, *OPEN, *CHAT]
    rows = [row for row in rows if row not in left_out]
    server = [("url", f"http://127.0.0.1:{ENDPOINT}/v1"), ("llm", "plumbing"), ("fallback", "none")]
    return Table(
        title,
        file,
        rows,
        changes={name: server for name in CHAT if name in rows},
        makers=False,
        metrics=WORDS,
        spreads=True,
        pairs=[pair for pair in RIGHT_PAIRS if all(name in rows for name in pair)],
        about="The rows `llm` ask a local server that gives tags of the prompt by a simple rule: they show the "
        "plumbing, and no model's quality. " + fields.pop("about", ""),
        **fields,
    )


TABLES = {
    "stackexchange": Table(
        "Stack Exchange: four communities, each with its own tags, by order of posting",
        "stackexchange/posts.parquet",
        ["popular", *PAPER, "two-stage"],
        about="No times and no authors: the habit makers have nothing to say here. Cut 70/10/20 in each community.",
    ),
    "lobsters": Table(
        "Lobsters: one community, authors known, by time",
        "lobsters/posts.parquet",
        ["popular", "popular-recent", "own-frequency", "own-recency", *PAPER, "two-stage"],
        about="A text is a title with the linked page's domain.",
    ),
    "vectorisers": Table(
        "Vectorisers for the paper's ranker, on every twelfth Stack Exchange post",
        "stackexchange/posts.parquet",
        ["commune-two-stage", "commune-vectors-tfidf", "commune-vectors-separate", "commune-vectors-unified"],
        every=12,
        changes={
            "commune-two-stage": [("depth", "20")],
            "commune-vectors-tfidf": [("depth", "20")],
            "commune-vectors-separate": MINILM,
            "commune-vectors-unified": MINILM,
        },
        makers=False,
        about="Twenty candidates a post; the sentence encoder is all-MiniLM-L6-v2 (English), as ruri-small could "
        "not be had. The joined way encodes every pair of post and tag, hence the small sample.",
    ),
    "japanese": Table(
        "JSer.info: Japanese texts, one tokeniser a row, by time",
        "jser_ja/posts.parquet",
        [*TOKENISED, "two-stage", "popular"],
        changes=TOKENISED,
        about="The linear model reads character n-grams beside words; `nearest` reads words alone.",
    ),
    "instagram": INSTAGRAM,
    "mvsa": Table(
        "MVSA: photos with short texts, at random, copies together",
        "mvsa/posts.jsonl",
        ["popular", "nearest", "linear", "two-stage", "loom", *READERS, *SEEING],
        tagged_only=True,
        split="random",
        seeds=THREE,
        settings=PICTURES,
        pairs=FUSED,
        makers=False,
        about="No times and no authors: cut 70/10/20 at random, and posts of one `dup_group` stand on one side. "
        "The file is ordered by topic, so that its order makes no split.",
    ),
    "lobsters-personal": LOBSTERS,
    "unseen-authors": Table(
        "Instagram, authors first met when asking",
        "instagram_2019/posts.jsonl",
        [*COUNTING, *MODELS],
        tagged_only=True,
        min_tag_count=5,
        all_tags=HABIT,
        split="user",
        seeds=SEEDS,
        settings=PICTURES,
        makers=False,
        about="Whole authors are held back: no model has learnt from any post of those that it is asked about. Their "
        "own posts are given as history, of which only strictly earlier ones count.",
    ),
    "words-lobsters": _words(
        "New words: Lobsters, the latest 6,000 posts, by time",
        "lobsters/posts.parquet",
        ["own-frequency", "design-generator"],
        latest=6_000,
        settings=UNSEEING,
        about="So few posts, because many of these networks take minutes on them.",
    ),
    "words-stackexchange": _words(
        "New words: Stack Exchange, every twentieth post, by order of posting",
        "stackexchange/posts.parquet",
        [],
        [*SLOW, "trending"],
        every=20,
        settings=UNSEEING,
        about="No times and no authors.",
    ),
    "words-japanese": _words(
        "New words: JSer.info, every fourth post, by time",
        "jser_ja/posts.parquet",
        [],
        SLOW,
        every=4,
        settings=UNSEEING,
    ),
    "words-instagram": _words(
        "New words: Instagram, the latest 3,000 tagged posts, by time",
        "instagram_2019/posts.jsonl",
        ["own-frequency"],
        [*SLOW, "right-no-selector", "two-tower"],
        latest=3_000,
        tagged_only=True,
        settings=UNSEEING,
        about="Without pictures.",
    ),
    "history-instagram": _history(
        "Which earlier posts to read: Instagram, the latest 4,000 tagged posts", INSTAGRAM, 4_000
    ),
    "history-lobsters": _history("Which earlier posts to read: Lobsters, the latest 8,000 posts", LOBSTERS, 8_000),
}
