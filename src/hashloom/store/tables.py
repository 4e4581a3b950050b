"""The store's tables, for SQLite and PostgreSQL alike; ``migrations/`` makes them.

Names that people choose may be long, so rows are found by digests of them (``digest``), which any index can hold.
Moments are microseconds since 1970 in UTC; a post without one has ``types.UNDATED``, as in ``Posts.times``.
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

METADATA = sa.MetaData()

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


class Bytes(sa.LargeBinary):
    """Bytes that both drivers take and give as they are, so nothing is wrapped on the way."""

    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """None: nothing to do."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> None:
        """None: nothing to do."""


Digest = Bytes(16)


def digest(kind: str, *names: str) -> bytes:
    """Sixteen bytes that stand for a name in the store; the names hold no NUL (``data.rows.clean``).

    >>> digest("post", "bakers", "p1") == digest("post", "bakers", "P1")
    False
    """
    return hashlib.blake2b("\0".join((kind, *names)).encode(), digest_size=16, person=b"hashloom").digest()


def _table(name: str, *parts: sa.Column | sa.Index) -> sa.Table:
    # A number once given is never given again, also not after its row is gone.
    return sa.Table(f"hashloom_{name}", METADATA, *parts, sqlite_autoincrement=parts[0].name == "seq")


def _text(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, Words, nullable=nullable)


def _moment(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _number(name: str) -> sa.Column:
    return sa.Column(name, sa.Double, nullable=True)


def _digest(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, Digest, nullable=nullable)


def _seq() -> sa.Column:
    return sa.Column("seq", Number, primary_key=True, autoincrement=True)


def _index(name: str, *columns: str, unique: bool = False) -> sa.Index:
    return sa.Index(f"hashloom_{name}", *columns, unique=unique)


facts = _table("facts", sa.Column("name", Words, primary_key=True), _text("value"))
"""What the store knows of itself: up to which number the changes were trimmed."""

posts = _table(
    "posts",
    _seq(),
    _digest("key"),
    _digest("place"),
    _digest("author", nullable=True),
    _digest("member", nullable=True),
    _text("id"),
    _text("text"),
    _text("community"),
    _text("user", nullable=True),
    _moment("created_at"),
    _text("images"),
    _text("tags"),
    _text("language", nullable=True),
    _number("views"),
    _number("likes"),
    _number("comments"),
    _number("popularity"),
    _text("source"),
    _digest("content"),
    _moment("received_at"),
    _moment("changed_at"),
    _index("posts_key", "key", unique=True),
    _index("posts_author", "author"),
    _index("posts_member", "member", "created_at", "seq"),
    _index("posts_place", "place", "created_at", "seq"),
    _index("posts_time", "created_at", "seq"),
)
"""``place`` is the community, ``author`` the user anywhere, ``member`` the user within the community."""

post_pictures = _table(
    "post_pictures",
    sa.Column("post", Digest, sa.ForeignKey("hashloom_posts.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("sha256", Words, primary_key=True),
    _index("post_pictures_sha256", "sha256"),
)

pictures = _table(
    "pictures",
    sa.Column("sha256", Words, primary_key=True),
    _text("kind"),
    sa.Column("content", Bytes, nullable=False),
    _moment("received_at"),
)

tombstones = _table(
    "tombstones",
    sa.Column("key", Digest, primary_key=True),
    _text("kind"),
    _moment("at"),
)
"""Digests of posts, authors and members that were deleted: nothing of them is taken in again."""

spaces = _table(
    "spaces",
    sa.Column("place", Digest, primary_key=True),
    _text("community"),
    _text("body"),
    sa.Column("version", sa.BigInteger, nullable=False),
    _moment("changed_at"),
)

space_log = _table(
    "space_log",
    _seq(),
    _digest("place"),
    sa.Column("version", sa.BigInteger, nullable=False),
    _text("by"),
    _text("why"),
    _text("changed"),
    _moment("at"),
    _index("space_log_place", "place", "version"),
)

feedback = _table(
    "feedback",
    _seq(),
    _digest("key"),
    _digest("place"),
    _digest("post"),
    _digest("author", nullable=True),
    _digest("member", nullable=True),
    _text("token"),
    _text("community"),
    _text("post_id"),
    _text("user", nullable=True),
    _text("tag"),
    _text("event"),
    sa.Column("rank", sa.BigInteger, nullable=True),
    _number("score"),
    _text("model", nullable=True),
    _moment("at"),
    _moment("received_at"),
    _index("feedback_key", "key", unique=True),
    _index("feedback_post", "post"),
    _index("feedback_author", "author"),
    _index("feedback_place", "place", "at"),
)

changes = _table(
    "changes",
    _seq(),
    _text("kind"),
    _text("community"),
    _text("ref"),
    _digest("about", nullable=True),
    _moment("at"),
    _index("changes_about", "about"),
    _index("changes_at", "at"),
)

models = _table(
    "models",
    sa.Column("name", Words, primary_key=True),
    sa.Column("digest", Words, primary_key=True),
    _text("facts"),
    _moment("added_at"),
)

publications = _table(
    "publications",
    _seq(),
    _text("name"),
    _text("digest"),
    _moment("at"),
    _moment("withdrawn_at", nullable=True),
    _index("publications_name", "name", "seq"),
)
"""Each publication of a model; rolling back withdraws the last that is not withdrawn."""

shadows = _table("shadows", sa.Column("name", Words, primary_key=True), _text("digest"))

keys = _table(
    "keys",
    sa.Column("id", Words, primary_key=True),
    sa.Column("hash", Bytes(32), nullable=False),
    _text("role"),
    _text("community", nullable=True),
    _number("rate"),
    _text("note"),
    _moment("made_at"),
    _moment("revoked_at", nullable=True),
)
