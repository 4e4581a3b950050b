"""How soon a new community is served: its list of tags and 0, 10 or 100 of its posts, beside three old communities.

    python tools/new_community.py        # writes docs/results/new-community.md; about ten minutes

Stack Exchange; the new community is robotics, its test part the last 20 % of its posts; of the old communities every
fourth post is learnt from.
"""

from __future__ import annotations

import numpy as np
from results import DATA, OUT

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.data.split import split
from hashloom.evaluate.beyond import truths
from hashloom.evaluate.compare import interval
from hashloom.evaluate.metrics import measure
from hashloom.evaluate.protocol import by_maker
from hashloom.evaluate.tables import number
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts

NEW = "robotics"
SHOWN = ("popular", "string_match", "multilabel", "linear", "two-stage")


def main() -> None:
    """Learn with ever more posts of the new community, and write the table."""
    posts, _ = read(DATA / "stackexchange/posts.parquet")
    made = split(posts)
    new = np.array(made.train.communities) == NEW
    old, own = made.train[~new][::4], made.train[new]
    asked = made.test[np.array(made.test.communities) == NEW]
    spaces = TagSpaces.learn(Posts.concat([old, own]))
    rows = []
    for count in (0, 10, 100):
        model = catalogue.build(catalogue.recipe("two-stage")["model"])
        model.fit(Posts.concat([old, own[:count]]), spaces=spaces)
        answers = {**by_maker(model, asked, None), "two-stage": model.recommend(asked, 10)}
        cells = []
        for name in SHOWN:
            scores = measure(answers[name], truths(asked), ["ndcg@10"])
            found = interval(scores, "ndcg@10")
            cells.append(f"{number(found.value)} [{number(found.low)}, {number(found.high)}]")
        rows.append(f"| {count} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    head = "| posts of the new community | " + " | ".join(SHOWN) + " |\n| --: |" + " --: |" * len(SHOWN)
    about = (
        f"`{NEW}` is new: {len(spaces[NEW].tags)} tags are listed, {len(asked)} later posts asked; {len(old):,} posts "
        "of the three other communities are learnt from. NDCG@10; the columns before the last are makers of two-stage."
    )
    text = f"## A new community\n\n{about}\n\n`python tools/new_community.py`\n\n" + "\n".join([head, *rows]) + "\n"
    (OUT / "new-community.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
