"""A typed client of Hashloom's service, on the standard library alone: suggestions, forecasts, posts, feedback, models.

A call that is safe to repeat is repeated where the service is away or asks to wait; others are sent once.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from hashloom import client_sending as sending
from hashloom import client_things as things
from hashloom.client_things import (
    MAX_ANSWER,
    Answer,
    Day,
    Deleted,
    DraftFields,
    DraftRow,
    Event,
    Forecast,
    ForecastAnswer,
    Key,
    Me,
    Model,
    NotAllowed,
    NotFound,
    PostFields,
    PostRow,
    Put,
    Reason,
    Refused,
    Role,
    ServiceError,
    Space,
    Suggestion,
    TooMany,
    Unavailable,
    Uncertain,
)

MOST_WAIT = 30.0
"""Seconds that a service may ask to wait before a call is repeated; for longer ones the error is raised."""
AGAIN = (408, 429, 502, 503, 504)
"""Statuses after which a safe call is repeated."""


# ---------------------------------------------------------------- the client


class Client:
    """Asks one service; safe for several threads.

    ``timeout`` is for one try, in seconds; ``retries`` is how often a safe call is repeated at most. The key goes in a
    header, and redirects are not followed, so that it reaches nobody else.

    >>> client = Client("http://127.0.0.1:9", retries=0)
    >>> try:
    ...     client.suggest("Rye loaf", community="bakers")
    ... except Unavailable as error:
    ...     print(error.status, "cannot be reached" in error.detail)
    0 True
    """

    def __init__(self, address: str = "http://127.0.0.1:8000", key: str | None = None, *, timeout: float = 10.0,
                 retries: int = 2) -> None:  # fmt: skip
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{address!r} is no address of a service; write it as in http://127.0.0.1:8000")
        if parts.username or parts.password:
            raise ValueError("an address holds no name or password here; give the key as key=")
        if timeout <= 0 or retries < 0:
            raise ValueError(f"timeout={timeout} must be above 0, and retries={retries} 0 or more")
        self.address = address.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._key = key
        near = _is_near(parts.hostname)
        self._opener = urllib.request.build_opener(
            _NoRedirect, *([urllib.request.ProxyHandler({})] if near else [])
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Client({self.address!r})"  # never the key

    # ---- suggestions and forecasts

    def suggest(self, text: str = "", *, pictures: Sequence[Path | bytes] = (),
                **draft: Unpack[DraftFields]) -> Answer:  # fmt: skip
        """Tags for a draft. ``draft``: community, user, post_id, k, language, platform, chosen, unwanted, explain, …"""
        body = {"text": text, **draft}
        said = self._pictured("suggest", body, pictures) if pictures else self._send("POST", "suggest", body, safe=True)
        return things.answer(said)

    def suggest_many(self, drafts: Sequence[DraftRow]) -> list[Answer]:
        """Tags for many drafts, one answer each, in their order."""
        said = self._send("POST", "suggest/many", {"drafts": list(drafts)}, safe=True)
        return [things.answer(one) for one in said["answers"]]

    def forecast(self, text: str = "", *, pictures: Sequence[Path | bytes] = (),
                 **draft: Unpack[DraftFields]) -> ForecastAnswer:  # fmt: skip
        """The attention a draft is expected to get; ``draft`` is as for ``suggest``."""
        body = {"text": text, **draft}
        said = (
            self._pictured("forecast", body, pictures) if pictures else self._send("POST", "forecast", body, safe=True)
        )
        one = said["forecast"]
        made = None
        if one is not None:
            numbers = tuple(one["numbers"]) if one["numbers"] else None
            more = {"numbers": numbers, "reasons": things.reasons(one["reasons"])}
            made = Forecast(**things.known(Forecast, one) | more)
        notes = tuple(said.get("notes", ()))
        return ForecastAnswer(**things.known(ForecastAnswer, said) | {"forecast": made, "notes": notes})

    def complete(self, community: str, start: str, *, k: int = 10, user: str | None = None) -> list[str]:
        """Tags of a community that begin as typed."""
        query = {"q": start, "k": k} | ({"user": user} if user is not None else {})
        return [
            one["tag"] for one in self._send("GET", f"autocomplete/{sending.place(community)}", query=query)["tags"]
        ]

    def trends(self, community: str, *, k: int = 20) -> list[dict[str, Any]]:
        """What is used now in a community: tag, worth, authors, uses."""
        found: list[dict[str, Any]] = self._send("GET", f"trends/{sending.place(community)}", query={"k": k})["trends"]
        return found

    def communities(self) -> dict[str, int]:
        """The communities in reach of the key, with the number of their posts."""
        found: dict[str, int] = self._send("GET", "communities")["communities"]
        return found

    def me(self) -> Me:
        """Role, community and limits of the key."""
        return Me(**things.known(Me, self._send("GET", "me")))

    # ---- posts and feedback

    def put_post(self, community: str, id: str, **post: Unpack[PostFields]) -> str:
        """Put a post, or its edit: ``new``, ``changed`` or ``same``; ``post`` has text, user, created_at, tags, …"""
        return str(self._send("PUT", sending.post(community, id), sending.plain(post), safe=True)["status"])

    def change_post(self, community: str, id: str, **parts: Unpack[PostFields]) -> str:
        """Change parts of a post that is there."""
        return str(self._send("PATCH", sending.post(community, id), sending.plain(parts))["status"])

    def put_posts(self, posts: Sequence[PostRow]) -> Put:
        """Put many posts, each with its ``id`` and ``community``; at most as many as the service takes at once."""
        return things.put(self._send("POST", "posts", {"posts": [sending.plain(one) for one in posts]}, safe=True))

    def get_post(self, community: str, id: str) -> dict[str, Any]:
        """A post as stored."""
        return self._send("GET", sending.post(community, id))

    def delete_post(self, community: str, id: str) -> bool:
        """Delete a post for good; False: it was not there."""
        return bool(self._send("DELETE", sending.post(community, id), safe=True)["deleted"])

    def put_picture(self, community: str, picture: Path | bytes) -> str:
        """Keep a community's picture; gives its name there, which the community's posts have among ``images``."""
        files = [("picture", sending.content(picture))]
        return str(self._form(f"pictures/{sending.place(community)}", {}, files)["sha256"])

    def feedback(self, events: Sequence[Mapping[str, Any]]) -> Put:
        """Say what authors did with tags: each with post_id, tag, event and, where known, community, user, rank, model.

        An event without a ``token`` is given one before it is sent, so that a repeated call counts it once.
        """
        named = [{"token": uuid.uuid4().hex} | dict(one) for one in events]
        return things.put(self._send("POST", "feedback", {"events": named}, safe=True))

    def say(self, event: Event, tag: str, *, post_id: str, **more: Any) -> bool:
        """Say what became of one tag; False: the service had been told before (its ``token`` was sent again)."""
        put = self.feedback([{"post_id": post_id, "tag": tag, "event": event, **more}])
        if put.refused:
            raise Refused(422, put.refused[0][1])
        return put.new == 1

    def quality(self, community: str, *, days: int = 30) -> list[Day]:
        """How suggestions fared lately, day by day."""
        rows = self._send("GET", f"quality/{sending.place(community)}", query={"days": days})["days"]
        return [Day(**things.known(Day, one)) for one in rows]

    def review(self, community: str, *, k: int = 20) -> list[Uncertain]:
        """Posts whose tags want a look, the most doubtful first."""
        rows = self._send("GET", f"review/{sending.place(community)}", query={"k": k})["posts"]
        return [things.uncertain(one) for one in rows]

    # ---- tag spaces

    def space(self, community: str) -> Space:
        """A community's tag space."""
        return things.space(self._send("GET", f"spaces/{sending.place(community)}"))

    def put_space(self, space: Space, *, why: str = "") -> Space:
        """Set a community's whole tag space."""
        body = {name: getattr(space, name) for name in ("tags", "closed", "aliases", "describe")}
        body |= {"denied": list(space.denied), "sensitive": list(space.sensitive), "why": why}
        return things.space(self._send("PUT", f"spaces/{sending.place(space.community)}", body, safe=True))

    def change_space(self, community: str, *, closed: bool | None = None, add: Sequence[str] = (),
                     remove: Sequence[str] = (), why: str = "") -> Space:  # fmt: skip
        """Open or close a tag space, add and remove tags."""
        body = {"closed": closed, "add": list(add), "remove": list(remove), "why": why}
        return things.space(self._send("PATCH", f"spaces/{sending.place(community)}", body))

    def deny(self, community: str, add: Sequence[str] = (), remove: Sequence[str] = (), why: str = "") -> Space:
        """Deny tags, or allow them again."""
        body = {"add": list(add), "remove": list(remove), "why": why}
        return things.space(self._send("PATCH", f"spaces/{sending.place(community)}/denied", body))

    def mark_sensitive(self, community: str, add: Sequence[str] = (), remove: Sequence[str] = (),
                       why: str = "") -> Space:  # fmt: skip
        """Mark tags as sensitive, or end that."""
        body = {"add": list(add), "remove": list(remove), "why": why}
        return things.space(self._send("PATCH", f"spaces/{sending.place(community)}/sensitive", body))

    def alias(self, community: str, aliases: Mapping[str, str | None], why: str = "") -> Space:
        """Let names stand for other tags; None ends one."""
        body = {"aliases": dict(aliases), "why": why}
        return things.space(self._send("PATCH", f"spaces/{sending.place(community)}/aliases", body))

    def merge(self, community: str, tags: Sequence[str], into: str, why: str = "") -> Space:
        """Make several tags one."""
        body = {"tags": list(tags), "into": into, "why": why}
        return things.space(self._send("POST", f"spaces/{sending.place(community)}/merge", body))

    def duplicates(self, community: str) -> list[tuple[str, str]]:
        """Keys of tags that look alike, in pairs."""
        rows = self._send("GET", f"spaces/{sending.place(community)}/duplicates")["pairs"]
        return [(str(a), str(b)) for a, b in rows]

    # ---- models, keys, authors, health

    def models(self) -> list[Model]:
        """All models that the service keeps."""
        rows = self._send("GET", "models")["models"]
        return [things.model(one) for one in rows]

    def publish(self, name: str, digest: str) -> str | None:
        """Let a model answer, once it is checked and warm; gives the digest that is published then."""
        return self._published(name, "publish", {"digest": digest})

    def roll_back(self, name: str) -> str | None:
        """Let the model published before answer again; gives its digest."""
        return self._published(name, "rollback", None)

    def shadow(self, name: str, digest: str | None) -> str | None:
        """Compare a candidate on live drafts, unseen; None ends that."""
        return self._published(name, "shadow", {"digest": digest})

    def drop_model(self, name: str, digest: str) -> None:
        """Remove a model and its folder; ``Refused`` for the published one, the one to roll back to and the shadow."""
        self._published(name, "drop", {"digest": digest})

    def _published(self, name: str, what: str, body: dict[str, Any] | None) -> str | None:
        said: str | None = self._send("POST", f"models/{sending.part(name)}/{what}", body)["published"]
        return said

    def status(self) -> dict[str, Any]:
        """How the service fares."""
        return self._send("GET", "status")

    def keys(self) -> list[Key]:
        """Keys in reach, without their secrets."""
        return [things.access(one) for one in self._send("GET", "keys")["keys"]]

    def new_key(self, role: Role, *, community: str | None = None, rate: float | None = None,
                note: str = "") -> tuple[str, str]:  # fmt: skip
        """Make a key: its id, and its secret, which is told this once. ``community`` None: the maker's own scope."""
        said = self._send("POST", "keys", {"role": role, "community": community, "rate": rate, "note": note})
        return str(said["id"]), str(said["secret"])

    def revoke_key(self, id: str) -> bool:
        """End a key; False: it had been before."""
        return bool(self._send("DELETE", f"keys/{sending.part(id)}", safe=True)["revoked"])

    def export_author(self, user: str) -> dict[str, Any]:
        """Everything held about an author."""
        return self._send("GET", f"authors/{sending.part(user)}")

    def forget_author(self, user: str) -> dict[str, Any]:
        """Forget an author for good; says where something was, and what is left there (nothing, or it is a fault)."""
        return self._send("DELETE", f"authors/{sending.part(user)}", safe=True)

    def forget_community(self, community: str) -> dict[str, Any]:
        """Delete a whole community for good, its keys too; says what was where, and what is left (nothing)."""
        return self._send("DELETE", f"communities/{sending.place(community)}", safe=True)

    def ready(self) -> bool:
        """Whether the service can answer; needs no key. Tries once."""
        try:
            self._once(self._request("GET", f"{self.address}/ready", None, ""))
        except Unavailable:
            return False
        return True

    # ---- sending

    def _send(self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None,
              safe: bool = False) -> dict[str, Any]:  # fmt: skip
        url = f"{self.address}/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body, allow_nan=False).encode("utf-8")
        return self._ask(method, url, content, "application/json", safe or method == "GET")

    def _pictured(self, path: str, draft: Mapping[str, Any], pictures: Sequence[Path | bytes]) -> dict[str, Any]:
        files = [("picture", sending.content(one)) for one in pictures]
        return self._form(f"{path}/pictures", {"draft": json.dumps(draft, allow_nan=False)}, files)

    def _form(self, path: str, values: Mapping[str, str], files: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        mark = uuid.uuid4().hex
        parts = [sending.form_part(mark, name, None, value.encode("utf-8")) for name, value in values.items()]
        parts += [sending.form_part(mark, name, f"{name}{at}", content) for at, (name, content) in enumerate(files)]
        content = b"".join([*parts, f"--{mark}--\r\n".encode()])
        return self._ask("POST", f"{self.address}/v1/{path}", content, f"multipart/form-data; boundary={mark}", True)

    def _ask(self, method: str, url: str, content: bytes | None, kind: str, safe: bool) -> dict[str, Any]:
        request = self._request(method, url, content, kind)
        for left in range(self.retries if safe else 0, -1, -1):
            try:
                return self._once(request)
            except ServiceError as error:
                wait = error.retry_after if error.retry_after is not None else self._pause(left)
                may = isinstance(error, Unavailable | TooMany) and error.status in (0, *AGAIN)
                if not (left and may) or wait > MOST_WAIT:
                    raise
                time.sleep(wait)
        raise AssertionError("every try answers or raises")

    def _pause(self, left: int) -> float:
        """Longer each time, and not the same for all who wait."""
        return float(min(0.1 * 2 ** (self.retries - left), 2.0) * random.uniform(0.5, 1.0))

    def _request(self, method: str, url: str, content: bytes | None, kind: str) -> urllib.request.Request:
        request = urllib.request.Request(url, content, method=method, headers={"Accept": "application/json"})
        if content is not None:
            request.add_header("Content-Type", kind)
        if self._key is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        return request

    def _once(self, request: urllib.request.Request) -> dict[str, Any]:
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return things.parsed(answer.read(MAX_ANSWER + 1))
        except urllib.error.HTTPError as error:
            with error:
                raise things.problem(error) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or str(error) or type(error).__name__
            said = f"{self.address} cannot be reached or broke off ({why}); check that the service runs there"
            raise Unavailable(0, said) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _is_near(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect(address: str = "http://127.0.0.1:8000", key: str | None = None, **settings: Any) -> Client:
    """A client of a service that answers; raises ``Unavailable`` where it does not."""
    made = Client(address, key, **settings)
    if not made.ready():
        raise Unavailable(0, f"{made.address} is not ready; start it with `hashloom serve`")
    return made


__all__ = [
    "Answer", "Client", "Day", "Deleted", "DraftFields", "DraftRow", "Forecast", "ForecastAnswer", "Key", "Me", "Model",
    "NotAllowed", "NotFound", "PostFields", "PostRow", "Put", "Reason", "Refused", "ServiceError", "Space",
    "Suggestion", "TooMany", "Unavailable", "Uncertain", "connect",
]  # fmt: skip
