"""API keys in the store: only a hash of the secret is kept, and it is compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import Base
from hashloom.store._rows import bounded
from hashloom.store.errors import NotThere, StoreError
from hashloom.store.tables import keys
from hashloom.store.things import Key, moment_of, now

_ID, _SECRET = 12, 43
_START = "hl_"
_NOBODY = hashlib.sha256(b"nobody").digest()


class KeyRows(Base):
    """The part of the store that holds API keys."""

    def new_key(self, role: str, community: str | None = None, rate: float | None = None,
                note: str = "") -> tuple[str, str]:  # fmt: skip
        """A new key's id and its secret, which is shown this once and is kept nowhere.

        ``community`` None: all; ``rate``: requests a second, None: what the service grants (``default_rate``).

        >>> from hashloom.store import Store
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     id, secret = store.new_key("reader", "bakers", rate=5)
        ...     store.find_key(secret).community, store.find_key(secret + "x"), store.revoke(id), store.find_key(secret)
        ('bakers', None, True, None)
        """
        if not role or len(role) > 100:
            raise StoreError("a key needs a role of 1 to 100 characters")
        if rate is not None and not 0 < rate < float("inf"):
            raise StoreError(f"rate is {rate}; give requests a second above 0, or none for what the service grants")
        try:
            community, note = bounded(community, "community"), bounded(note, "note") or ""
        except ValueError as error:
            raise StoreError(str(error)) from error
        id, rest = secrets.token_hex(_ID // 2), secrets.token_urlsafe(32)
        secret = f"{_START}{id}_{rest}"
        row = {"id": id, "hash": _hash(secret), "role": clean(role), "community": community, "rate": rate,
               "note": note, "made_at": now(), "revoked_at": None}  # fmt: skip
        with self._writing() as to:
            to.execute(sa.insert(keys), row)
        return id, secret

    def find_key(self, secret: str) -> Key | None:
        """The key that has this secret and is not revoked; None where there is none."""
        id = secret[len(_START) : len(_START) + _ID] if secret.startswith(_START) else ""
        with self._reading() as at:
            row = at.execute(sa.select(keys).where(keys.c.id == clean(id))).one_or_none()
        # A hash is made and compared in any case, so that time does not tell whether the id exists.
        right = hmac.compare_digest(_hash(secret), bytes(row.hash) if row else _NOBODY)
        return _key(row) if row and right and row.revoked_at is None else None

    def revoke(self, id: str) -> bool:
        """End a key; False where it was ended before. One that never was is refused."""
        with self._writing() as to:
            alive = sa.and_(keys.c.id == clean(id), keys.c.revoked_at.is_(None))
            if to.execute(sa.update(keys).where(alive).values(revoked_at=now())).rowcount:
                return True
            if not to.scalar(sa.select(sa.func.count()).where(keys.c.id == clean(id))):
                raise NotThere(f"there is no key {clean(id)[:40]!r}; `hashloom keys list` shows them")
        return False

    def keys(self) -> list[Key]:
        """All keys, revoked ones too, the oldest first."""
        with self._reading() as at:
            return [_key(row) for row in at.execute(sa.select(keys).order_by(keys.c.made_at, keys.c.id))]


def _hash(secret: str) -> bytes:
    # A secret of 256 random bits needs no slow hash: it cannot be guessed.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: sa.Row) -> Key:
    revoked = None if row.revoked_at is None else moment_of(row.revoked_at)
    return Key(row.id, row.role, row.community, row.rate, row.note, moment_of(row.made_at), revoked)
