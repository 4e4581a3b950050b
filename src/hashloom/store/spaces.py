"""Tag spaces in the store: one per community, each change whole and noted with who made it and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from hashloom.data.rows import MAX_ID, clean
from hashloom.store._base import Base
from hashloom.store._rows import bounded
from hashloom.store.errors import StoreError
from hashloom.store.pictures import must_be_open
from hashloom.store.tables import digest, space_log, spaces
from hashloom.store.things import SpaceChange, moment_of, now
from hashloom.tag_space import TagSpace, TagSpaces


class SpaceRows(Base):
    """The part of the store that holds tag spaces."""

    def get_space(self, community: str) -> TagSpace | None:
        """The tag space of a community; None where none was put."""
        with self._reading() as at:
            return _read(at, clean(community))[0]

    def put_space(self, space: TagSpace, *, by: str, why: str = "") -> None:
        """Set a community's tag space; one that is the same already is not noted again."""
        self.change_space(space.community, lambda _: space, by=by, why=why)

    def change_space(self, community: str, change: Callable[[TagSpace], TagSpace], *, by: str,
                     why: str = "") -> TagSpace:  # fmt: skip
        """Change a tag space in one transaction: ``change`` gets the present one (or an empty open one).

        >>> from hashloom.store import Store
        >>> from dataclasses import replace
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     close = lambda space: replace(space, closed=True)
        ...     store.change_space("bakers", close, by="mo").closed, store.space_log("bakers")[0].changed
        (True, {'closed': [False, True]})
        """
        community = _named(community)
        with self._writing() as to:
            must_be_open(to, community)
            before, number = _read(to, community)
            held = before or TagSpace(community)
            was = _cleaned(held.to_json())
            made = change(TagSpace.from_json(was))
            if not isinstance(made, TagSpace) or clean(made.community) != community:
                raise StoreError(
                    f"the change of {community[:60]!r}'s tag space gave none of this community; return one"
                )
            is_now = _cleaned(made.to_json())
            made = TagSpace.from_json(is_now)
            altered = difference(was, is_now)
            if altered or before is None:
                self._write_space(to, is_now, number + 1, altered, clean(by), clean(why))
        return made

    def _write_space(self, to: sa.Connection, body: dict[str, Any], number: int, altered: dict[str, Any], by: str,
                     why: str) -> None:  # fmt: skip
        at, community = now(), body["community"]
        place = digest("place", community)
        row = {"place": place, "community": community, "body": _json(body), "version": number, "changed_at": at}
        self._upsert(to, spaces, [row], ["place"])
        entry = {"place": place, "version": number, "by": by, "why": why, "changed": _json(altered), "at": at}
        to.execute(sa.insert(space_log), entry)
        self._log(to, "space", [(community, str(number), None)])

    def spaces(self) -> TagSpaces:
        """The tag spaces of all communities."""
        with self._reading() as at:
            bodies = at.scalars(sa.select(spaces.c.body).order_by(spaces.c.community)).all()
        return TagSpaces(TagSpace.from_json(json.loads(body)) for body in bodies)

    def space_log(self, community: str, *, last: int | None = None, before: int | None = None) -> list[SpaceChange]:
        """The ``last`` changes of a community's tag space (None: all), the first one first.

        ``before``: those of a lower version than this.
        """
        wanted = sa.select(space_log).where(space_log.c.place == digest("place", clean(community)))
        if before is not None:
            wanted = wanted.where(space_log.c.version < before)
        with self._reading() as at:
            rows = at.execute(wanted.order_by(space_log.c.version.desc()).limit(last)).all()
        return [SpaceChange(r.version, r.by, r.why, json.loads(r.changed), moment_of(r.at)) for r in rows[::-1]]


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What two tag spaces in plain types differ in: field → [before, after], for mappings per entry.

    >>> difference({"tags": {"rye": "Rye"}, "denied": []}, {"tags": {"rye": "RYE"}, "denied": ["spam"]})
    {'tags': {'rye': ['Rye', 'RYE']}, 'denied': [[], ['spam']]}
    """
    fields = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    return {
        name: {k: [a.get(k), b.get(k)] for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)}
        if isinstance(a, dict) else [a, b]
        for name, (a, b) in fields.items()
    }  # fmt: skip


def _read(at: sa.Connection, community: str) -> tuple[TagSpace | None, int]:
    wanted = sa.select(spaces.c.body, spaces.c.version).where(spaces.c.place == digest("place", community))
    row = at.execute(wanted).one_or_none()
    return (TagSpace.from_json(json.loads(row.body)), row.version) if row else (None, 0)


def _named(community: str) -> str:
    try:
        return bounded(community, "community", MAX_ID) or ""
    except ValueError as error:
        raise StoreError(str(error)) from error


def _cleaned(value: Any) -> Any:
    """The same with every text in a form that all databases hold."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(name)): _cleaned(held) for name, held in value.items()}
    return [_cleaned(held) for held in value] if isinstance(value, list) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
