"""Chat: asks a language model behind any endpoint that speaks OpenAI's chat completions, and survives a bad one.

What may pass (too many requests, faults of the server, lost connections) is tried again; an endpoint that stays away
is left alone for a while. The key is read from the environment for each request and stands nowhere else.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import socket
import sqlite3
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from hashloom.encoders._cache import Cache, _drop_oldest, _intact, _select, key
from hashloom.progress import track
from hashloom.recommenders._endpoint import Endpoint, NoAnswer, after
from hashloom.recommenders._prompting import LONGEST_ANSWER, SCHEMA, Prompt

log = logging.getLogger(__name__)
Read = TypeVar("Read")

BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds before the second try, doubled for each further one. Where the server asks for more, it is given up."""
SECRET = 12
"""Shorter keys are words that local servers do not look at ("ollama"), and may stand in a tag."""
FAILURES, PAUSE = 3, 30.0
"""After so many failures in a row the endpoint is left alone for so many seconds; then one request tries it."""
SPENT = ("requests", "tokens_in", "tokens_out", "cached", "failed")
FORMATS = ("json_schema", "json_object", "text")
"""Ways of asking for JSON, the strictest first."""


class Reply(NamedTuple):
    """What the model said, and the tokens counted by the server (0 where it counts none)."""

    text: str
    tokens_in: int
    tokens_out: int


# ---------------------------------------------------------------- the dialect of a server


@dataclass(frozen=True)
class Dialect:
    """What a server takes; found out by asking, strictest first."""

    form: int = 0
    """Place in ``FORMATS``."""
    newer: bool = False
    """Whether the limit of tokens is called max_completion_tokens."""
    warm: bool = False
    """Whether the server allows no temperature but its own."""

    def next(self, refusal: str) -> Dialect | None:
        """What to try after a refusal in these words; None where nothing is left."""
        if "max_completion_tokens" in refusal and not self.newer:
            return replace(self, newer=True)
        if "temperature" in refusal and not self.warm:
            return replace(self, warm=True)
        return replace(self, form=self.form + 1) if self.form + 1 < len(FORMATS) else None

    def format(self) -> dict[str, Any]:
        """The part of a request that asks for JSON."""
        named = {"name": "tags", "strict": True, "schema": SCHEMA}
        kinds: tuple[dict[str, Any], ...] = ({"type": "json_schema", "json_schema": named}, {"type": "json_object"})
        return {"response_format": kinds[self.form]} if self.form < len(kinds) else {}


# ---------------------------------------------------------------- kept answers


@dataclass
class Answers(Cache):
    """Answers by a hash of all that they depend on; what was asked is not kept."""

    file: str = "answers.sqlite"
    """Name of the file."""

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The answers known among ``keys``; damaged ones are left out, and replaced when they are asked anew."""
        rows = self._guarded(lambda db: _select(db, keys)) or []
        return {of: data.decode("utf-8", "replace") for of, data, check in rows if _intact(data, check, 1)}

    def put(self, answers: Mapping[bytes, str]) -> None:
        """Keep answers by key."""
        data = {of: text.encode("utf-8", "replace") for of, text in answers.items()}
        rows = [(of, text, zlib.crc32(text)) for of, text in data.items()]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            _drop_oldest(db, self.megabytes * 1_000_000)

        self._guarded(write)


# ---------------------------------------------------------------- many questions


@dataclass
class Chat:
    """Asks one model at one endpoint; holds what was found out about it and counts what was spent."""

    endpoint: Endpoint
    llm: str
    key_from: str
    timeout: float
    retries: int
    at_once: int
    temperature: float
    most_tokens: int
    cache: str = ""
    instead: str = ""
    """Who answers meanwhile, for the log; empty: nobody."""
    spent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPENT, 0))
    dialect: Dialect = Dialect()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _failures: int = 0
    _quiet_until: float = 0.0
    _last: NoAnswer | None = None
    _told: dict[str, float] = field(default_factory=dict)

    def ask(
        self, prompts: Sequence[Prompt], read: Callable[[str], Read | None], *, strict: bool = False
    ) -> list[Read | NoAnswer]:
        """What ``read`` makes of the answers, in the order of the prompts, or why there is none.

        Equal prompts are asked once. Answers that can be read are kept where there is a ``cache``. ``strict``: an
        endpoint that does not answer is an error.
        """
        keys = [self._key(prompt) for prompt in prompts]
        known = Answers(self.cache).try_get(list(dict.fromkeys(keys))) if self.cache else {}
        found: dict[bytes, Read | NoAnswer] = {}
        for of, text in known.items():
            kept = read(text)
            if kept is not None:
                found[of] = kept
        self._count(cached=sum(of in found for of in keys))
        fresh = {of: prompt for of, prompt in zip(keys, prompts) if of not in found}
        if fresh:
            with ThreadPoolExecutor(min(self.at_once, len(fresh))) as pool:
                answers = pool.map(lambda one: self._one(one[0], one[1], read, strict), fresh.items())
                found |= dict(zip(fresh, track(answers, f"asking {self.llm}", len(fresh))))
        self._count(failed=sum(isinstance(found[of], NoAnswer) for of in keys))
        return [found[of] for of in keys]

    def _one(self, of: bytes, prompt: Prompt, read: Callable[[str], Read | None], strict: bool) -> Read | NoAnswer:
        try:
            reply = self._reply(prompt)
        except NoAnswer as error:
            if strict:
                raise
            return error
        found = read(reply.text)
        if found is None:
            said = f"an answer of {self._who} holds no tags ({_quoted(reply.text)}); raise most_tokens, or change llm"
            self._tell("unread", said)
            return NoAnswer(f"{self._who} gave no tags")
        if self.cache:
            Answers(self.cache).try_put({of: reply.text[:LONGEST_ANSWER]})
        return found

    def _key(self, prompt: Prompt) -> bytes:
        made = [self.endpoint.url.geturl(), self.llm, self.temperature, self.most_tokens, SCHEMA, prompt.system]
        return key(json.dumps(made, sort_keys=True), prompt.user)

    @property
    def _who(self) -> str:
        return f"{self.llm or 'the model'} at {self.endpoint.name}"

    # ---- outages

    def _reply(self, prompt: Prompt) -> Reply:
        tries = self._may_try()
        try:
            reply = self._tried(prompt, tries)
        except NoAnswer as error:
            self._failed(error)
            raise
        with self._lock:
            if self._failures >= FAILURES:
                log.info("%s answers again", self._who)
                self._told.pop("outage", None)
            self._failures, self._last = 0, None
        return reply

    def _may_try(self) -> int:
        """How many tries a request has now; ``NoAnswer`` at once while the endpoint is left alone."""
        with self._lock:
            if self._failures < FAILURES:
                return self.retries + 1
            now = time.monotonic()
            if now < self._quiet_until and self._last is not None:
                left = self._quiet_until - now
                raise NoAnswer(f"{self._last} (not asked again for {left:.0f} s)") from self._last
            # One request looks whether it is back; the others go on without it meanwhile.
            self._quiet_until = now + self.timeout + PAUSE
            return 1

    def _failed(self, error: NoAnswer) -> None:
        with self._lock:
            self._failures = max(self._failures + 1, FAILURES if error.gone else 0)
            self._last = error
            if self._failures >= FAILURES:
                self._quiet_until = time.monotonic() + PAUSE
        if self.instead:  # else the error itself is seen
            self._tell("outage", f"{error}; {self.instead} answers meanwhile")

    def _tell(self, kind: str, said: str) -> None:
        """Warn, once while it lasts."""
        now = time.monotonic()
        with self._lock:
            last = self._told.get(kind)
            self._told[kind] = now
        if last is None or now - last > 10 * PAUSE:
            log.warning("%s", said)

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, count in more.items():
                self.spent[name] += count

    # ---- tries

    def _tried(self, prompt: Prompt, tries: int) -> Reply:
        for left in range(tries - 1, -1, -1):
            try:
                return self._understood(prompt)
            except NoAnswer as error:
                wait = BACKOFF * 2 ** (tries - 1 - left) if error.wait is None else error.wait
                if not (left and error.passing) or wait > LONGEST_BACKOFF:
                    raise
                time.sleep(wait)
        raise AssertionError("there is at least one try")

    def _understood(self, prompt: Prompt) -> Reply:
        """The reply, in the strictest format that the server takes; which one that is is remembered."""
        dialect: Dialect | None = self.dialect
        while dialect:
            try:
                reply = self._asked(prompt, dialect)
            except NoAnswer as error:
                dialect = dialect.next(error.misread) if error.misread else None
                if dialect is None:
                    raise
            else:
                self.dialect = dialect
                return reply
        raise AssertionError("there is always a dialect")

    def _asked(self, prompt: Prompt, dialect: Dialect) -> Reply:
        headers = self._headers()
        self._count(requests=1)
        try:
            status, retry, data = self.endpoint.post(self._body(prompt, dialect), headers, self.timeout)
        except NoAnswer as error:
            raise NoAnswer(f"{self._who}: {error}") from None
        except TimeoutError:
            said = f"{self._who}: no answer within {self.timeout:g} s; raise timeout, or use a smaller model"
            raise NoAnswer(said, passing=True) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._lost(error) from None
        if status != 200:
            raise self._refused(status, retry, data)
        reply = self._unpacked(data)
        self._count(tokens_in=reply.tokens_in, tokens_out=reply.tokens_out)
        return reply

    def _body(self, prompt: Prompt, dialect: Dialect) -> bytes:
        said = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        asked: dict[str, Any] = {"model": self.llm} if self.llm else {}
        asked |= {"messages": said, "stream": False} | dialect.format()
        asked["max_completion_tokens" if dialect.newer else "max_tokens"] = self.most_tokens
        if not dialect.warm:
            asked["temperature"] = self.temperature
        return json.dumps(asked).encode()

    def _headers(self) -> dict[str, str]:
        plain = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "hashloom"}
        secret = self._secret()
        if not secret:
            return plain
        if re.search(r"[^!-~]", secret):
            raise NoAnswer(
                f"llm: the key in {self.key_from} has white space or other odd characters in it; set it anew"
            )
        if self.endpoint.url.scheme == "http" and not self.endpoint.here:
            said = "would travel readable for all; use https or a tunnel, or no key (key_from empty)"
            raise NoAnswer(f"llm: over {self.endpoint.name} the key in {self.key_from} {said}")
        return plain | {"Authorization": f"Bearer {secret}"}

    def _lost(self, error: Exception) -> NoAnswer:
        gone = isinstance(error, ConnectionRefusedError | socket.gaierror)
        if gone:
            return NoAnswer(
                f"llm: nobody answers at {self.endpoint.name}; start the server there, or correct url", gone=True
            )
        if isinstance(error, ssl.SSLCertVerificationError):
            return NoAnswer(
                f"{self._who}: its certificate is not trusted; correct url, or name its authority's file in "
                "SSL_CERT_FILE"
            )
        return NoAnswer(f"{self._who}: the connection broke ({type(error).__name__})", passing=True)

    def _refused(self, status: int, retry: str | None, data: bytes) -> NoAnswer:
        """What a status other than 200 means."""
        message = self._hidden(_message(data))
        said = _quoted(message)
        if 300 <= status < 400:
            return NoAnswer(f"{self.endpoint.name} sends elsewhere ({status}), which is not followed; correct url")
        if status in (401, 403):
            known = "is set but not accepted" if self._secret() else "is not set"
            return NoAnswer(f"{self.endpoint.name} wants a key ({status}); {self.key_from or 'key_from'} {known}")
        if status == 404:
            return NoAnswer(f"{self._who}: not found ({said}); correct url or llm")
        if status in (400, 415, 422, 501):
            return NoAnswer(f"{self._who} refuses the request ({status}, {said})", misread=message or "refused")
        passing = status in (408, 409, 425, 429) or status >= 500
        return NoAnswer(f"{self._who}: status {status} ({said})", passing=passing, wait=after(retry))

    def _unpacked(self, data: bytes) -> Reply:
        try:
            said = json.loads(data)
            content = said["choices"][0]["message"]["content"]
        except (ValueError, RecursionError, LookupError, TypeError):
            raise NoAnswer(f"{self._who}: the answer is none of this protocol; is url right?", passing=True) from None
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        usage = said.get("usage")
        counts = [_whole(usage, name) for name in ("prompt_tokens", "completion_tokens")]
        return Reply(self._hidden(content) if isinstance(content, str) else "", *counts)

    def _hidden(self, text: str) -> str:
        """The text without the key, which a server may say back."""
        secret = self._secret()
        return text.replace(secret, "***") if len(secret) >= SECRET else text

    def _secret(self) -> str:
        return os.environ.get(self.key_from, "").strip() if self.key_from else ""


def _whole(usage: Any, name: str) -> int:
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) and 0 <= count < 10_000_000 else 0


def _message(data: bytes) -> str:
    """What a server says of its refusal."""
    try:
        said = json.loads(data)
        error = said.get("error", said)
        said = error.get("message", error) if isinstance(error, Mapping) else error
    except (ValueError, RecursionError, AttributeError):
        said = data.decode("utf-8", "replace")
    return str(said)[:2000]


def _quoted(text: str) -> str:
    """The beginning of a stranger's text, fit for a line of a log."""
    return ascii(" ".join(text.split())[:120])
