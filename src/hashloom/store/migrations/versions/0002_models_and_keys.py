"""Version 2 of the schema: models with their publications and shadows, and the API's keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, nullable: bool = False, primary_key: bool = False) -> sa.Column:
    return sa.Column(name, Words, nullable=nullable, primary_key=primary_key)


def _whole(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    """Make the tables."""
    names = (_text("name", primary_key=True), _text("digest", primary_key=True))
    op.create_table("hashloom_models", *names, _text("facts"), _whole("added_at"))
    op.create_table(
        "hashloom_publications",
        sa.Column("seq", Number, primary_key=True, autoincrement=True),
        *(_text("name"), _text("digest"), _whole("at"), _whole("withdrawn_at", nullable=True)),
        sqlite_autoincrement=True,
    )
    op.create_index("hashloom_publications_name", "hashloom_publications", ["name", "seq"])
    op.create_table("hashloom_shadows", _text("name", primary_key=True), _text("digest"))
    op.create_table(
        "hashloom_keys",
        _text("id", primary_key=True),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        *(_text("role"), _text("community", nullable=True), sa.Column("rate", sa.Double, nullable=True)),
        *(_text("note"), _whole("made_at"), _whole("revoked_at", nullable=True)),
    )
