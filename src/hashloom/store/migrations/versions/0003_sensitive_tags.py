"""Version 3 of the schema: tag spaces hold sensitive tags beside denied ones.

A tag space is kept as one body, so no table changes. The number does: an earlier Hashloom, which would tell what is
marked so, refuses the store and says which one to use.
"""

from __future__ import annotations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing to do: a body from before says of no tag that it is sensitive."""
