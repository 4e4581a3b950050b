"""The command line: one function per verb, thin over the library; the one place where errors become messages."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from hashloom import cli_upkeep, progress
from hashloom.cli_errors import told
from hashloom.cli_explain import explain as draw_page
from hashloom.cli_files import (
    check_apart,
    check_model_place,
    check_place,
    check_report_place,
    given,
    kept,
    numbers,
    opened,
    quiet,
    recipe_of,
    recommender_in,
    tag_spaces,
    tell,
    write_json,
    write_text,
)
from hashloom.cli_serve import Folder

app = typer.Typer(
    name="hashloom",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

How = Literal["time", "random", "community", "user", "none"]
PostsFile = Annotated[
    Path, typer.Argument(metavar="POSTS", help="Posts: .parquet, .jsonl(.gz) or .csv; - reads JSON lines.")
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that hashloom train wrote.")]
Earlier = Annotated[
    Path | None,
    typer.Option("--history", metavar="POSTS", help="Earlier posts, on top of those that the model remembers."),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", metavar="ID", help="Show these, such as novel_r@10 (hashloom list metrics); repeat it."),
]
Answer = Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.jsonl", help="Instead of the screen.")]
Why = Annotated[bool, typer.Option("--explain", help="Give the reasons.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page with plots too.")]
InStore = Annotated[
    str | None, typer.Option("--store", metavar="STORE", envvar="HASHLOOM_STORE", help="A store: a folder or a URL.")
]
Seed = Annotated[int, typer.Option("--seed", help="For everything that is drawn by chance.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first wrong row instead of leaving it out.")]


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    """Hashtags for posts, and what posts will get, learnt from your own posts.

    The way: [bold]import → describe → train → evaluate → recommend[/bold] or [bold]forecast[/bold].
    Each verb's --help has examples.
    """
    if version:
        from hashloom import __version__

        print(f"hashloom {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command("import", epilog="Next: hashloom describe POSTS")
def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What it is: see hashloom list importers.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders of that kind.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="POSTS", help="Write here: .parquet or .jsonl.")],
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of times that state none: Asia/Tokyo, +09:00, UTC.")
    ] = None,
    strict: Strict = False,
) -> None:
    """Turn another source into a file of posts. Hashtags leave the text and become tags.

    [dim]hashloom import csv captions.csv -o posts.parquet --zone Asia/Tokyo[/dim]

    [dim]hashloom import stackexchange bicycles.7z diy.7z -o posts.parquet[/dim]
    """
    from hashloom.data.read import BadInput, import_posts, write

    if not out.name.lower().endswith((".parquet", ".jsonl")):
        raise BadInput(f"{out}: posts are written to .parquet or .jsonl; give it one of these endings")
    with progress.stage(f"importing {kind}"):
        posts, report = import_posts(kind, paths, zone=zone, strict=strict)
        write(posts, out)
    tell(report.summary())


@app.command(epilog="Next: hashloom train loom POSTS -o MODEL")
def describe(posts: PostsFile, html: Page = None) -> None:
    """Show what is in a set of posts: tags, users, communities, lengths, gaps, time.

    [dim]hashloom describe posts.parquet --html posts.html[/dim]
    """
    from hashloom.data.describe import describe as look

    found = look(given(posts))
    print(found.text(), end="")
    if html:
        write_text(html, found.html())


@app.command(epilog="Next: hashloom evaluate MODEL POSTS; hashloom recommend (or forecast) MODEL NEW_POSTS")
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A name (hashloom list recipes) or a .toml file.")],
    posts: PostsFile,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODEL", help="The folder to keep the model in.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting; dots go inside. May be repeated."),
    ] = None,
    split: Annotated[
        How, typer.Option(help="Which posts are held back for evaluation; none: learn from all.")
    ] = "time",
    seed: Seed = 0,
    spaces: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Lists, aliases and denied tags by community; see docs/posts.md."),
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it in --store, for the services there.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Compare it in --store with the published one, on live drafts, unseen.")
    ] = False,
    store: InStore = None,
    folder: Folder = None,
) -> None:
    """Learn from posts and keep the model as a folder: one that suggests tags, or one that forecasts, as RECIPE says.

    [dim]hashloom train loom posts.parquet -o my-model[/dim]

    [dim]hashloom train nearest posts.parquet -o my-model --set neighbours=50 --set prepare.min_tag_count=3[/dim]

    [dim]hashloom train loom posts.parquet -o my-model --split none[/dim]

    What a forecaster forecasts, the setting target says: a number of the posts, or one per exposure.

    [dim]hashloom train author-mean posts.parquet -o my-forecaster --set target=likes/user_followers[/dim]
    """
    from hashloom.cli_forecasts import train as train_forecaster
    from hashloom.evaluate.forecasting import is_forecast

    settings = recipe_of(recipe, change or [])
    check_model_place(out)
    if publish or shadow:
        cli_upkeep.check_publishing(store, folder, publish=publish, unseen=shadow, forecasts=is_forecast(settings))
    if is_forecast(settings):
        tell(train_forecaster(settings, posts, out, how=split, seed=seed, spaces=spaces))
    else:
        tell(_train_recommender(settings, posts, out, how=split, seed=seed, spaces=spaces))
    if publish or shadow:
        cli_upkeep.publish(store, folder, out, unseen=shadow)


def _train_recommender(
    settings: dict[str, Any], posts: Path, out: Path, *, how: How, seed: int, spaces: Path | None
) -> str:
    from hashloom.cli_files import counts
    from hashloom.evaluate import protocol

    listed = tag_spaces(spaces) if spaces else None
    learnt = given(posts, some=True)
    tell(f"training {settings['name']} on {len(learnt):,} posts (split: {how})")
    with progress.stage(f"training {settings['name']}"):
        trained = protocol.train(settings, learnt, how=how, seed=seed, spaces=listed)
        protocol.publish(trained, out)
    return f"{out}: trained in {trained.seconds:.1f} s ({counts(trained.split)})"


@app.command()
def recommend(
    model: Model,
    posts: PostsFile,
    k: Annotated[int, typer.Option("-k", min=1, help="At most so many tags for each post.")] = 10,
    out: Answer = None,
    explain: Why = False,
    history: Earlier = None,
    strict: Strict = False,
    forecaster: Annotated[
        Path | None,
        typer.Option("--forecaster", metavar="MODEL", help="A kept forecaster, whose posts say which tags did well."),
    ] = None,
    dial: Annotated[
        float | None,
        typer.Option(
            "--dial", min=0, max=1, help="Order by fit (0) or by the attention that posts with a tag got (1)."
        ),
    ] = None,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Also tags marked as sensitive that the text does not name.")
    ] = False,
) -> None:
    """Suggest tags: one line of JSON for each post, in order, as soon as there is an answer.

    [dim]hashloom recommend my-model new.jsonl -k 5 -o answers.jsonl[/dim]

    [dim]hashloom recommend my-model new.jsonl --forecaster my-forecaster --dial 0.2[/dim]

    [dim]echo '{"id": "1", "community": "bakers", "text": "First rye loaf"}' | hashloom recommend my-model -[/dim]
    """
    from hashloom.cli_answers import Suggested
    from hashloom.cli_forecasts import reordering

    check_apart(posts, history, out)
    reordered = reordering(forecaster, dial)
    known = recommender_in(model)
    earlier = given(history) if history else None
    with opened(out) as file:
        answers = Suggested(
            model=known,
            k=k,
            sensitive=sensitive,
            reordered=reordered,
            out=file,
            explain=explain,
            history=earlier,
            strict=strict,
            say=tell,
        )
        with progress.stage("recommending") if out else quiet():
            answers.written(posts)
    for said in answers.summary():
        tell(f"hashloom: {said}")


@app.command()
def forecast(
    model: Model,
    posts: PostsFile,
    out: Answer = None,
    explain: Why = False,
    history: Earlier = None,
    strict: Strict = False,
) -> None:
    """Forecast what posts will get: one line of JSON for each post, in order, as soon as there is an answer.

    Each line has the forecast and its interval on the scale of the formula, which is named, and the number itself where
    its exposure is known. A forecast says what such posts got, and promises nothing.

    [dim]hashloom forecast my-forecaster new.jsonl --explain -o forecasts.jsonl[/dim]

    [dim]echo '{"id": "1", "user": "mo", "text": "First rye loaf"}' | hashloom forecast my-forecaster -[/dim]
    """
    from hashloom.cli_forecasts import forecast as foretell

    for said in foretell(model, posts, out, history, explain=explain, strict=strict):
        tell(f"hashloom: {said}")


app.command("explain", epilog="What the marks mean, and what they do not: docs/explanations.md")(draw_page)


@app.command(epilog="Next: hashloom recommend (or forecast) MODEL NEW_POSTS")
def update(model: Model, posts: PostsFile, strict: Strict = False) -> None:
    """Let a kept model know further posts, without training it anew.

    Tags, counts, neighbours, habits and what authors' posts got grow at once; trained weights stay. Posts that are
    known already are passed over.

    [dim]hashloom update my-model todays-posts.jsonl[/dim]
    """
    from hashloom import keeping
    from hashloom.cli_forecasts import posts_for

    known = kept(model)
    more = posts_for(known, posts, strict=strict)
    before = len(known.seen_)
    with progress.stage("updating"):
        known.update(more)
        known.save(model, **keeping.facts(model))
    new = len(known.seen_) - before
    tell(f"{model}: {new:,} of {len(more):,} posts were new, {len(known.seen_):,} are known now")


@app.command()
def forget(
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="A folder that hashloom train wrote.")] = None,
    post: Annotated[list[str] | None, typer.Option("--post", metavar="ID", help="A post; may be repeated.")] = None,
    user: Annotated[list[str] | None, typer.Option("--user", metavar="USER", help="All posts of a user.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag, wherever it was used.")] = None,
    store: InStore = None,
    folder: Folder = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", metavar="USER", help="Delete an author from --store, for good.")
    ] = None,
    community: cli_upkeep.OneCommunity = None,
    proof: Annotated[bool, typer.Option("--proof", help="Print where was looked, and what is left, as JSON.")] = False,
    backup: Annotated[
        list[Path] | None, typer.Option("--backup", metavar="FILE.zip", help="Look into this backup too.")
    ] = None,
    readmit: Annotated[bool, typer.Option("--readmit", help="Take --author or --community in again instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete the whole --community, though it has posts.")] = False,
) -> None:
    """Take posts, users or tags out of a kept model: out of what it remembers, counts and looks up.

    Trained weights are not undone: train anew where that is asked for. To ban a tag, deny it in a tag space.

    [dim]hashloom forget my-model --user mo --tag OldNews[/dim]

    With --store instead of MODEL, authors are deleted from a store and its models, and kept out from then on.

    [dim]hashloom forget --store my-store --author mo --proof[/dim]

    Without --author, the whole --community goes: posts, pictures, feedback, tag space and keys.

    [dim]hashloom forget --store my-store --community bakers --yes --proof[/dim]
    """
    if model is None and store is not None:
        if readmit:
            cli_upkeep.readmit(store, folder, author or [], community)
        else:
            cli_upkeep.forget(store, folder, author or [], community, backup or [], proof=proof, yes=yes)
        return
    from hashloom import keeping
    from hashloom.cli_forecasts import forgotten
    from hashloom.data.read import BadInput

    if model is None:
        raise BadInput("forget where? Name a MODEL folder, or a store with --store STORE --author USER")
    if author or proof or backup or readmit or yes or community is not None:
        raise BadInput("--author, --community, --proof, --backup, --readmit and --yes are for --store; "
                       "of a MODEL, forget with --user")  # fmt: skip
    if not (post or user or tag):
        raise BadInput("nothing to forget; name posts (--post), users (--user) or tags (--tag)")
    known = kept(model)
    with progress.stage("forgetting"):
        done = forgotten(known, post or [], user or [], tag or [])
        known.save(model, **keeping.facts(model))
    tell(f"{model}: {done.posts:,} posts forgotten, and {done.uses:,} uses of the tags in other posts")


@app.command()
def evaluate(
    model: Model,
    posts: PostsFile,
    k: Annotated[list[int] | None, typer.Option("-k", min=1, help="Cut rankings at K; may be repeated.")] = None,
    metrics: Metrics = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON too.")] = None,
    html: Page = None,
    history: Earlier = None,
) -> None:
    """Measure a model, of tags or of forecasts, on posts that it has not learnt from.

    Given the posts that it was trained on, it is measured on the part that was held back from it.

    [dim]hashloom evaluate my-model posts.parquet -k 5 -k 10 --html report.html[/dim]

    [dim]hashloom evaluate my-forecaster posts.parquet --html report.html[/dim]
    """
    from hashloom import keeping
    from hashloom.cli_forecasts import evaluate as evaluate_forecaster
    from hashloom.evaluate import protocol
    from hashloom.evaluate.report import report, table
    from hashloom.recommender import Recommender

    for place in (json, html):
        if place:
            check_place(place)
    known = kept(model)
    if not isinstance(known, Recommender):
        evaluate_forecaster(known, model, posts, history, json, html, refused={"-k": k, "--metrics": metrics})
        return
    asked = given(posts)
    earlier = given(history) if history else None
    with progress.stage("measuring"):
        found = protocol.evaluate(
            known,
            asked,
            said=keeping.manifest(model),
            ks=tuple(k or [10]),
            history=earlier,
            metrics=tuple(metrics or ()),
        )
    print(table(found), end="")
    if json:
        write_json(json, found.as_json())
    if html:
        write_text(html, report(found))


@app.command()
def compare(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Names or .toml files.")],
    posts: Annotated[Path, typer.Option("--posts", metavar="POSTS", help="Posts: .parquet, .jsonl(.gz) or .csv.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FOLDER", help="For report.html, table.md, results.json.")
    ],
    split: Annotated[How, typer.Option(help="How posts are held back for evaluation.")] = "time",
    seed: Seed = 0,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Train networks once with each of these and average.")
    ] = None,
    makers: Annotated[
        bool, typer.Option("--makers", help="A row for each maker of a recipe that holds several too.")
    ] = False,
    metrics: Metrics = None,
    spreads: Annotated[
        bool, typer.Option("--spreads", help="Also show how evenly each row suggests tags, and how common ones.")
    ] = False,
) -> None:
    """Train recipes of one kind on the same posts, measure them on the same later posts, and report.

    Answers are kept in FOLDER/answers: stopped and started again, the comparison goes on where it was.

    [dim]hashloom compare popular linear loom --posts posts.parquet -o report[/dim]

    [dim]hashloom compare own-recency multilabel --posts posts.parquet -o report --split user --seeds 0,1,2[/dim]
    """
    from hashloom.cli_forecasts import all_forecast
    from hashloom.cli_forecasts import compare as compare_forecasters
    from hashloom.evaluate import protocol
    from hashloom.evaluate.report import markdown, report, table

    chosen = [recipe_of(name) for name in recipes]
    drawn = numbers(seeds) if seeds else [seed]
    check_report_place(out)
    if all_forecast(chosen):
        other = {"--makers": makers, "--metrics": metrics, "--spreads": spreads}
        compare_forecasters(chosen, posts, out, how=split, seed=seed, seeds=drawn, refused=other)
        return
    asked = given(posts, some=True)
    with progress.stage("comparing"):
        found = protocol.compare(
            chosen,
            asked,
            how=split,
            seed=seed,
            seeds=drawn,
            say=tell,
            folder=out / "answers",
            makers=makers,
            metrics=tuple(metrics or ()),
            spreads=spreads,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", found.as_json())
    write_text(out / "table.md", markdown(found))
    write_text(out / "report.html", report(found))
    print(table(found), end="")
    tell(f"{out / 'report.html'}: the report")


@app.command("list")
def list_(
    room: Annotated[
        Literal[
            "recommenders",
            "forecasters",
            "recipes",
            "encoders",
            "images",
            "selections",
            "generators",
            "metrics",
            "importers",
        ],
        typer.Argument(
            metavar="WHAT",
            help="recommenders, forecasters, recipes, encoders, images (encoders of pictures), selections (which "
            "earlier posts are read), generators (what says tags for RIGHT), metrics or importers",
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Everything about this one.")] = None,
    fields: Annotated[bool, typer.Option("--fields", help="Everything about each.")] = False,
) -> None:
    """Show what there is; with a name, its settings too.

    [dim]hashloom list recommenders[/dim]

    [dim]hashloom list forecasters author_mean[/dim]

    [dim]hashloom list recommenders nearest[/dim]
    """
    from hashloom.cli_list import details, lines

    print(details(room, [name] if name else None) if name or fields else lines(room))


cli_upkeep.register(app)


# ---------------------------------------------------------------- errors


def main() -> NoReturn:
    """What the command ``hashloom`` runs."""
    # Before any library starts threads: ones that spin while they wait slow a busy machine down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _ended)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter must not end the work.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def _ended(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def run(arguments: list[str]) -> int:
    """Carry out one command line. Gives 0, 1 (inner failure), 2 (bad input), 130 (Ctrl-C) or 141 (closed pipe)."""
    progress.watch()
    try:
        command = typer.main.get_command(app)
        with command.make_context("hashloom", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as done:
        return done.exit_code
    except KeyboardInterrupt:
        tell("hashloom: stopped; nothing half-made was left behind")
        return 130
    except BrokenPipeError:
        # The reader went away (| head). Python would flush once more at its end and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("HASHLOOM_DEBUG"):
            import traceback

            traceback.print_exc()
        code, text = told(error)
        tell(f"hashloom: {text}")
        return code
    return 0
