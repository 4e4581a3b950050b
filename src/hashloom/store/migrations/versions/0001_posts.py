"""Version 1 of the schema: posts and pictures, tombstones, tag spaces, feedback, the log of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Digest = sa.LargeBinary(16)


def _make(name: str, *columns: sa.Column) -> None:
    op.create_table(f"hashloom_{name}", *columns, sqlite_autoincrement=columns[0].name == "seq")


def _index(name: str, table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(f"hashloom_{name}", f"hashloom_{table}", list(columns), unique=unique)


def _seq() -> sa.Column:
    return sa.Column("seq", Number, primary_key=True, autoincrement=True)


def _text(name: str, nullable: bool = False, primary_key: bool = False) -> sa.Column:
    return sa.Column(name, Words, nullable=nullable, primary_key=primary_key)


def _whole(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _number(name: str) -> sa.Column:
    return sa.Column(name, sa.Double, nullable=True)


def _digest(name: str, nullable: bool = False, primary_key: bool = False) -> sa.Column:
    return sa.Column(name, Digest, nullable=nullable, primary_key=primary_key)


def upgrade() -> None:
    """Make the tables."""
    _make("facts", _text("name", primary_key=True), _text("value"))
    _posts()
    _pictures()
    _make("tombstones", _digest("key", primary_key=True), _text("kind"), _whole("at"))
    _spaces()
    _feedback()
    _changes()


def _posts() -> None:
    texts = ("id", "text", "community")
    numbers = ("views", "likes", "comments", "popularity")
    _make(
        "posts",
        _seq(),
        *(_digest("key"), _digest("place"), _digest("author", nullable=True), _digest("member", nullable=True)),
        *map(_text, texts),
        *(_text("user", nullable=True), _whole("created_at"), _text("images"), _text("tags")),
        _text("language", nullable=True),
        *map(_number, numbers),
        *(_text("source"), _digest("content"), _whole("received_at"), _whole("changed_at")),
    )
    _index("posts_key", "posts", "key", unique=True)
    _index("posts_author", "posts", "author")
    _index("posts_member", "posts", "member", "created_at", "seq")
    _index("posts_place", "posts", "place", "created_at", "seq")
    _index("posts_time", "posts", "created_at", "seq")


def _pictures() -> None:
    post = sa.Column("post", Digest, sa.ForeignKey("hashloom_posts.key", ondelete="CASCADE"), primary_key=True)
    _make("post_pictures", post, _text("sha256", primary_key=True))
    _index("post_pictures_sha256", "post_pictures", "sha256")
    content = sa.Column("content", sa.LargeBinary, nullable=False)
    _make("pictures", _text("sha256", primary_key=True), _text("kind"), content, _whole("received_at"))


def _spaces() -> None:
    place = _digest("place", primary_key=True)
    _make("spaces", place, _text("community"), _text("body"), _whole("version"), _whole("changed_at"))
    words = map(_text, ("by", "why", "changed"))
    _make("space_log", _seq(), _digest("place"), _whole("version"), *words, _whole("at"))
    _index("space_log_place", "space_log", "place", "version")


def _feedback() -> None:
    _make(
        "feedback",
        _seq(),
        *map(_digest, ("key", "place", "post")),
        *(_digest("author", nullable=True), _digest("member", nullable=True)),
        *map(_text, ("token", "community", "post_id")),
        *(_text("user", nullable=True), _text("tag"), _text("event"), _whole("rank", nullable=True)),
        *(_number("score"), _text("model", nullable=True), _whole("at"), _whole("received_at")),
    )
    _index("feedback_key", "feedback", "key", unique=True)
    _index("feedback_post", "feedback", "post")
    _index("feedback_author", "feedback", "author")
    _index("feedback_place", "feedback", "place", "at")


def _changes() -> None:
    words = map(_text, ("kind", "community", "ref"))
    _make("changes", _seq(), *words, _digest("about", nullable=True), _whole("at"))
    _index("changes_about", "changes", "about")
    _index("changes_at", "changes", "at")
