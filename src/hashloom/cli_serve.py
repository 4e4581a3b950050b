"""The verbs that start a service and fill its store: serve, keys, posts; and how every verb opens a store."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hashloom import progress
from hashloom.cli_files import given, plain, tell

if TYPE_CHECKING:
    from hashloom.serve.engine import Engine
    from hashloom.serve.settings import ServeSettings
    from hashloom.store import Store

Where = Annotated[
    str,
    typer.Option(
        "--store", metavar="STORE", envvar="HASHLOOM_STORE", show_default=False,
        help="A folder (SQLite; hashloom-store where none is named), or postgresql+psycopg://…; HASHLOOM_STORE keeps a "
        "password off the command line.",
    ),
]  # fmt: skip
Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", envvar="HASHLOOM_FOLDER", help="Of a store by URL: where models lie."),
]
DRAIN = 20
"""Seconds that requests have to end in when the service is told to."""

keys_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
posts_app = typer.Typer(help="Put posts into a store.", no_args_is_help=True)


@contextmanager
def store_at(where: str, folder: Path | None = None, *, make: bool = False) -> Iterator[Store]:
    """A store while it is used; one that is not there is refused, but for verbs that make it."""
    from hashloom.data.read import BadInput
    from hashloom.store import BusyStore, FullStore, Store, StoreError, UnreachableStore

    there = "://" in where or (Path(where) / "hashloom.sqlite").is_file()
    if not make and not there:
        raise BadInput(f"{where}: there is no store; make one with: hashloom posts put POSTS --store {where}")
    try:
        with Store.open(where, folder=folder) as store:
            if not there:  # perhaps a slip of the pen
                tell(f"hashloom: {where}: a new, empty store was made")
            yield store
    except (BusyStore, FullStore, UnreachableStore) as error:
        tell(f"hashloom: {error}")
        raise typer.Exit(1) from error
    except StoreError as error:
        raise BadInput(str(error)) from error


# ---------------------------------------------------------------- serve


def serve(
    store: Where = "hashloom-store",
    folder: Folder = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="MODEL", help="Answer with this, not the published one."),
    ] = None,
    forecaster: Annotated[
        Path | None, typer.Option("--forecaster", metavar="MODEL", help="The same for a forecaster.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Beyond this machine only once there are keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8000,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="ORIGIN", help="Pages of it may ask too, with a key (https://a.example)."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting of the service; may be repeated."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="A line for each request, without texts and names.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Ask the service a few things, then leave.")] = False,
) -> None:
    """Answer over HTTP: the API under /v1, the page under /. SIGTERM ends it when the requests under way are answered.

    [dim]hashloom serve --store my-store --model my-model[/dim]

    [dim]hashloom keys new --store my-store --role writer && hashloom serve --store my-store --host 0.0.0.0[/dim]

    [dim]hashloom serve --store my-store --set fetch_pictures=true --set max_k=20[/dim]
    """
    with store_at(store, folder, make=True) as held:
        from hashloom.serve import memory
        from hashloom.serve.auth import check_binding, is_loopback
        from hashloom.serve.engine import Engine

        settings = _settings(changes or [], origin or [])
        check_binding(host, held)
        listener = _bound(host, port)
        # Whoever comes through a proxy on another machine is nobody of this machine, whatever a header says.
        settings = replace(settings, open_on_loopback=settings.open_on_loopback and is_loopback(host))
        memory.own()
        with progress.stage("loading the models"):
            engine = Engine(held, model=model, forecaster=forecaster, settings=settings)
        with engine, listener:
            must_answer(engine, {"--model": model, "--forecaster": forecaster})
            _listen(engine, listener, host, log=log, check=check)


def _settings(changes: list[str], origins: list[str]) -> ServeSettings:
    """The service's settings with what ``--set`` and ``--origin`` say."""
    from hashloom.data.read import BadInput
    from hashloom.serve.origins import checked
    from hashloom.serve.settings import ServeSettings

    try:
        made = ServeSettings().changed(changes)
    except ValueError as error:
        raise BadInput(f"--set: {error}") from None
    both = tuple(dict.fromkeys((*made.origins, *origins)))
    try:
        checked(both)
    except ValueError as error:
        raise BadInput(f"{'--origin' if origins else '--set origins'}: {error}") from None
    return replace(made, origins=both)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the address, and does not listen yet; taken before models are loaded."""
    from hashloom.data.read import BadInput

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        kind, _, protocol, _, address = found[0]
        # With the protocol named, asyncio sends small answers at once; without, each waits 40 ms to be acknowledged.
        made = socket.socket(kind, socket.SOCK_STREAM, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        said = f"{host}:{port}: cannot listen there ({error.strerror or error})"
        raise BadInput(f"{said}; choose another with --host and --port (--port 0: any free one)") from None
    return made


def must_answer(engine: Engine, given: dict[str, Path | None]) -> None:
    """Refuse models that were named and cannot serve; say where none is there."""
    from hashloom.data.read import BadInput

    for (option, folder), served in zip(given.items(), (engine.current, engine.forecaster)):
        if folder is not None and served is None:
            why = "; ".join(dict.fromkeys(engine.refused.values())) or "it holds no model"
            raise BadInput(f"{option} {folder}: {_swapped(option, folder, list(given)) or why}")
    for why in engine.refused.values():
        tell(f"hashloom: {why}")
    if engine.current is None:
        tell("hashloom: no model is published; answers are what communities use most. Publish one: hashloom retrain")


def _swapped(option: str, folder: Path, options: list[str]) -> str:
    """What is said of a model that was given as the wrong kind; '' where it was not."""
    from hashloom import keeping
    from hashloom.forecaster import Forecaster

    try:
        foretells = isinstance(keeping.load(folder), Forecaster)
    except (keeping.DamagedModel, ImportError, OSError):
        return ""
    if foretells == (option == "--forecaster"):
        return ""
    kind, right = ("a forecaster", "--forecaster") if foretells else ("a recommender", "--model")
    return f"is {kind}; give it as {right}" if right in options else f"is {kind}, which suggests no tags"


def _listen(engine: Engine, listener: socket.socket, host: str, *, log: bool, check: bool) -> None:
    import logging

    import uvicorn

    from hashloom.serve.api import make_app
    from hashloom.serve.connections import Bounded

    progress.watch(False)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("hashloom").setLevel(logging.INFO if log else logging.WARNING)
    at = listener.getsockname()[1]
    address = f"http://{f'[{host}]' if ':' in host else host}:{at}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                tell(f"hashloom: answers at {address} (API: {address}/v1/openapi.json); Ctrl-C ends it")

    app = make_app(engine, engine.store)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", loop="auto",
        http=Bounded, timeout_graceful_shutdown=DRAIN,
    )  # fmt: skip
    if check:
        _checked(Server(config), listener, engine, f"http://{_reached(host)}:{at}")
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server handles both itself and raises them again when it has ended, which is what was asked for.
        signal.signal(number, lambda *_: None)
    Server(config).run(sockets=[listener])
    tell("hashloom: ended; requests under way were answered")


def _reached(host: str) -> str:
    """Where this machine reaches what listens on an address."""
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{near}]" if ":" in near and not near.startswith("[") else near


def _checked(server: Any, listener: socket.socket, engine: Engine, address: str) -> None:
    """Let the service run for as long as it takes to ask it a few things; ends with 1 where an answer is wrong."""
    import threading

    running = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    running.start()
    try:
        until = time.monotonic() + 60
        while not server.started and running.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        wrong = _asked(engine, address)
    finally:
        server.should_exit = True
        running.join(DRAIN + 5)
    if wrong:
        tell(f"hashloom: the check failed: {wrong}")
        raise typer.Exit(1)


def _asked(engine: Engine, address: str) -> str:
    """What is wrong with the service's answers; '' where nothing is."""
    import urllib.request

    from hashloom.client import Client, ServiceError

    client = Client(address, timeout=30)
    if not client.ready():
        return f"{address}/ready does not answer"
    said = ["ready"]
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30) as page:
            if b"<html" not in page.read().lower():
                return "the page at / is none"
        said.append("the page at /")
        if any(one.revoked_at is None for one in engine.store.keys()):  # noqa: SIM118
            said.append("suggestions not asked for, as they need a key")
        else:
            answer = client.suggest("First rye loaf from my starter", community=_largest(engine.store), k=3)
            if engine.current is not None and answer.way != "model":
                return f"the model did not answer: {answer.why}"
            said.append(f"suggestions ({', '.join(answer.tags) or 'none'}) by the way {answer.way!r}")
    except (ServiceError, OSError) as error:
        return str(error)
    tell(f"hashloom: checked: {'; '.join(said)}")
    return ""


def _largest(store: Store) -> str:
    sizes = store.communities()
    return max(sizes, key=lambda name: sizes[name]) if sizes else ""


# ---------------------------------------------------------------- keys


@keys_app.command("new")
def keys_new(
    store: Where = "hashloom-store",
    role: Annotated[
        Literal["reader", "writer", "operator", "admin"],
        typer.Option("--role", help="A reader asks, a writer sends posts too, an operator sets tags and models."),
    ] = "reader",
    community: Annotated[str | None, typer.Option("--community", metavar="NAME", help="For this one alone.")] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="Requests a second at most; without it, the service's 50."),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
) -> None:
    """Make a key; its secret is shown this once, alone on standard output, and kept nowhere.

    [dim]hashloom keys new --store my-store --role writer --community bakers --note "the forum's server"[/dim]
    """
    with store_at(store, make=True) as held:
        id, secret = held.new_key(role, community, rate, note)
    tell(f"key {id}: {role} of {'all communities' if community is None else community}; its secret, shown this once:")
    print(secret)


@keys_app.command("list")
def keys_list(store: Where = "hashloom-store") -> None:
    """Show all keys, without their secrets."""
    with store_at(store) as held:
        tell("id\trole\tcommunity\trate\tmade\tstate\tnote")
        for one in held.keys():  # noqa: SIM118
            ended = f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else "in use"
            scope = "all" if one.community is None else one.community or "~"
            rate = "" if one.rate is None else f"{one.rate:g}/s"
            row = (one.id, one.role, scope, rate, f"{one.made_at:%Y-%m-%d}", ended, one.note)
            print(plain("\t".join(" ".join(part.split()) for part in row)))


@keys_app.command("revoke")
def keys_revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As keys list shows it.")], store: Where = "hashloom-store"
) -> None:
    """End a key; running services refuse it within seconds."""
    with store_at(store) as held:
        tell(f"key {id}: {'revoked' if held.revoke(id) else 'had been revoked before'}")


# ---------------------------------------------------------------- posts


@posts_app.command("put")
def posts_put(
    posts: Annotated[Path, typer.Argument(metavar="POSTS", help="Posts: .parquet, .jsonl(.gz) or .csv.")],
    store: Where = "hashloom-store",
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Nobody has looked at the tags: nothing is learnt from them.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first wrong row.")] = False,
) -> None:
    """Put a file's posts into a store, with their pictures; the same again changes nothing, deleted ones stay out.

    [dim]hashloom posts put posts.parquet --store my-store[/dim]
    """
    from hashloom.serve.learnable import UNREVIEWED
    from hashloom.serve.pictures import kept
    from hashloom.serve.settings import ServeSettings
    from hashloom.store import Put

    read, put, lost = given(posts, some=True, strict=strict), Put(), list[str]()
    with store_at(store, make=True) as held, progress.stage("putting posts"):
        for start in range(0, len(read), 1_000):
            some, without = kept(read[start : start + 1_000], held, ServeSettings())
            one = held.put_posts(some, source=UNREVIEWED if unreviewed else "import")
            put.new, put.changed, put.same = put.new + one.new, put.changed + one.changed, put.same + one.same
            put.refused, lost = put.refused + one.refused, lost + without
    tell(f"{held.where}: {put.new:,} posts new, {put.changed:,} changed, {put.same:,} as they were")
    for id, why in put.refused[:10]:
        tell(f"refused: {id}: {why}")
    if len(put.refused) > 10:
        tell(f"refused: … and {len(put.refused) - 10:,} more")
    if lost:
        said = f"pictures that could not be read and were left out: {len(lost):,}, the first {lost[0]}"
        tell(f"{said}; put the files where the posts say, and the posts again")
