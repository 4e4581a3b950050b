"""Walks through a set of real posts in time: what a frozen, an updated and a retrained model score in each step.

    python tools/prequential.py lobsters --recipe nearest --recipe own-recency
    python tools/prequential.py stackexchange --recipe nearest --steps 8 --pace 200
    python tools/prequential.py lobsters --recipe nearest --again     # after a change of the model's code

Writes docs/results/prequential-SET.md and, beside it, prequential-SET-curves.svg. Sets: lobsters (by time) and
stackexchange (no times: by order of posting, in each community). Answers are kept under .cache/results/prequential, one
file a step and mode, so that a run that was stopped goes on where it was. The posts are looked for in ../shared/data;
they are real people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from functools import partial
from xml.etree import ElementTree

from result_tables import DATA, ROOT
from results import KEPT, OUT

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.evaluate.prequential import MODES, Prequential, keeping_place, of_recipe, prequential, walk
from hashloom.evaluate.prequential_page import figure, gains, setting, steps, summary

SETS = {"lobsters": "Lobsters, by time", "stackexchange": "Stack Exchange, four communities, by order of posting"}
ABOUT = (
    "Each step's posts are asked first and learnt then. *Frozen* stays as it was after the first part and gets no "
    "later post at all; *updated* gets them by `update` alone, {pace}; *retrained* is trained anew before each step on "
    "all that came before. Novel tags are those that no post of the first part carries; young ones were first used "
    "less than 30 days before the asked post. The brackets are 95 % intervals, over authors where there are any."
)


def run(name: str, given: argparse.Namespace) -> None:
    """Walk with every recipe; write the page and the picture."""
    posts = read(DATA / name / "posts.parquet")[0].in_order()
    posts = posts[-given.latest :] if given.latest else posts
    made = walk(posts, first=given.first, steps=given.steps, days=given.days)
    walks = []
    for recipe in map(catalogue.recipe, given.recipe):
        folder = keeping_place(recipe, made, KEPT / "prequential", seed=given.seed, pace=given.pace)
        if given.again:
            shutil.rmtree(folder, ignore_errors=True)
        walks.append(
            prequential(
                recipe["name"],
                of_recipe(recipe, given.seed),
                made,
                modes=given.mode or MODES,
                pace=given.pace,
                folder=folder,
                say=partial(print, flush=True),
            )
        )
    write(name, walks, given)


def write(name: str, walks: Sequence[Prequential], given: argparse.Namespace) -> None:
    """The page and its picture, for the documents."""
    OUT.mkdir(parents=True, exist_ok=True)
    drawn = figure(walks)
    ElementTree.fromstring(drawn)  # a picture that is no XML would show as nothing
    (OUT / f"prequential-{name}-curves.svg").write_text(drawn, encoding="utf-8")
    (OUT / f"prequential-{name}.md").write_text(page(name, walks, given), encoding="utf-8")
    print(f"{OUT / f'prequential-{name}'}.md and {OUT / f'prequential-{name}'}-curves.svg")


def page(name: str, walks: Sequence[Prequential], given: argparse.Namespace) -> str:
    """The page's text."""
    pace = f"after every {given.pace} posts" if given.pace else "after each step"
    parts = [f"## A walk through time: {SETS[name]}", ABOUT.format(pace=pace), f"`{_command(name, given)}`"]
    parts += [f"{setting(walks[0])}.", summary(walks), f"![Scores against the step](prequential-{name}-curves.svg)"]
    apart = gains(walks)
    parts += [f"### What updating and retraining gain\n\n{apart}"] if apart else []
    parts += [f"### Step by step: {found.name}\n\n{steps(found)}" for found in walks]
    return "\n\n".join(parts) + "\n"


def _command(name: str, given: argparse.Namespace) -> str:
    length = ["--days", f"{given.days:g}"] if given.days else ["--steps", str(given.steps)]
    options = ["--first", f"{given.first:g}", *length, "--pace", str(given.pace)]
    options += ["--latest", str(given.latest)] if given.latest else []
    options += ["--seed", str(given.seed)] if given.seed else []
    rows = [f"--{option} {value}" for option in ("recipe", "mode") for value in getattr(given, option)]
    return " ".join(["python tools/prequential.py", name, *rows, *options])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(SETS))
    parser.add_argument("--recipe", action="append", required=True, help="a recipe's name (may be repeated)")
    parser.add_argument("--mode", action="append", default=[], choices=MODES, help="only this one (may be repeated)")
    parser.add_argument("--first", type=float, default=0.3, help="share of the posts that teaches first (default 0.3)")
    parser.add_argument("--steps", type=int, default=10, help="how many steps the rest makes (default 10)")
    parser.add_argument("--days", type=float, default=0, help="each step is so many days long instead")
    parser.add_argument("--pace", type=int, default=100, help="posts between two updates; 0: a step (default 100)")
    parser.add_argument("--latest", type=int, default=0, help="only so many posts, the latest")
    parser.add_argument("--seed", type=int, default=0, help="for every part that draws (default 0)")
    parser.add_argument("--again", action="store_true", help="forget what is kept of these recipes on this walk")
    given = parser.parse_args()
    # Paths of encoders and caches in settings count from here, so that they are the same on every machine.
    os.chdir(ROOT)
    run(given.set, given)


if __name__ == "__main__":
    main()
