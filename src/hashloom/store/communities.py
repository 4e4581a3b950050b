"""Deleting a whole community: shut in one transaction, then emptied in small ones, so that nobody else waits.

What is begun is noted. Where the end comes in between, what is left is learnt by nothing, and the same call goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import found, portions
from hashloom.store.authors import Deletions, add, remove_posts
from hashloom.store.errors import StoreError
from hashloom.store.pictures import drop_unshown, named, unshown
from hashloom.store.tables import changes, digest, facts, feedback, keys, pictures, posts, space_log, spaces, tombstones
from hashloom.store.things import DeletionReport, moment_of, now

LEAVING = "leaving/"
"""How the notes of communities begin whose deletion was begun and not ended."""
FIRST, MOST = 100, 2_000
"""So many rows go in the first transaction, and in any."""
AIM = 0.05
"""Seconds that one of these transactions may hold up other writers; the next is smaller or larger accordingly."""
LOOKED_AT = 20_000
"""So many entries of the log of changes are looked through at once."""
_OF_PLACES = ("post", "post_deleted", "feedback", "space", "author_deleted")


class CommunityDeletions(Deletions):
    """The part of the store that forgets communities."""

    def delete_community(self, community: str) -> DeletionReport:
        """Delete a community: posts, pictures, feedback, tag space with its log, and its part of the log of changes.

        Its keys are revoked, and nothing of it is taken in from the first moment on (``readmit_community`` lifts that
        for what is new); running services are told then, by its mark alone. What remains are digests, and its name on
        the revoked keys. The report counts what this call removed; one that was cut off is ended by the same call.

        >>> from hashloom.store import Store
        >>> from hashloom.types import Post, Posts
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     _ = store.put_posts(Posts.of([Post("p1", "rye", "bakers", "mo")]))
        ...     store.delete_community("bakers").where["posts"], store.communities()
        (1, {})
        """
        community, at = clean(community), now()
        place = digest("place", community)
        where = dict.fromkeys(("posts", "feedback", "pictures", "changes"), 0)
        where = add(where, self._shut(community, place, at))
        where = add(where, self._in_parts(lambda to, size: self._empty(to, place, size)))
        where["pictures"] += self._drop_sent(community)
        where["changes"] += self._drop_changes(community)
        with self._writing() as to:
            to.execute(sa.delete(facts).where(facts.c.name == LEAVING + place.hex()))
        return DeletionReport(where, self._left_of(place), self.erase(), moment_of(at))

    def _shut(self, community: str, place: bytes, at: int) -> dict[str, int]:
        with self._writing() as to:
            self._bury(to, "community", [place])
            self._upsert(to, facts, [{"name": LEAVING + place.hex(), "value": community}], ["name"])
            alive = (keys.c.community == community, keys.c.revoked_at.is_(None))
            counts = {"keys": to.execute(sa.update(keys).where(*alive).values(revoked_at=at)).rowcount}
            counts["spaces"] = to.execute(sa.delete(spaces).where(spaces.c.place == place)).rowcount
            to.execute(sa.delete(space_log).where(space_log.c.place == place))
            self._log(to, "community_deleted", [("", place.hex(), None)])
        return counts

    def _empty(self, to: sa.Connection, place: bytes, size: int) -> dict[str, int]:
        """Remove some posts with all that hangs on them; after the last, feedback on posts that are not there."""
        some = list(to.scalars(sa.select(posts.c.key).where(posts.c.place == place).limit(size)))
        if some:
            self._bury(to, "post", some)
            return remove_posts(to, posts.c.key.in_(some), some)
        said = list(to.scalars(sa.select(feedback.c.seq).where(feedback.c.place == place).limit(size)))
        gone = to.execute(sa.delete(feedback).where(feedback.c.seq.in_(said))).rowcount if said else 0
        return {"feedback": gone} if gone else {}

    def _in_parts(self, some: Callable[[sa.Connection, int], dict[str, int]]) -> dict[str, int]:
        """Do it in transactions of ``AIM`` seconds, until there is nothing to do; others write in between."""
        counts: dict[str, int] = {}
        size = FIRST
        while True:
            began = time.monotonic()
            with self._writing() as to:
                gone = some(to, size)
            if not gone:
                return counts
            counts = add(counts, gone)
            took = time.monotonic() - began
            size = max(1, min(MOST, 2 * size, int(size * AIM / max(took, 1e-6))))
            time.sleep(min(took, AIM))

    def _drop_sent(self, community: str) -> int:
        """Drop the community's pictures that no post ever showed; their bytes tell whose they are."""
        with self._reading() as at:
            names = at.scalars(sa.select(pictures.c.sha256).where(unshown())).all()
        gone = 0
        for some in portions(names, 8):
            with self._reading() as at:
                rows = found(at, sa.select(pictures.c.sha256, pictures.c.content), pictures.c.sha256, some)
            if mine := [row.sha256 for row in rows if named(row.content, community) == row.sha256]:
                with self._writing() as to:
                    gone += drop_unshown(to, mine)
        return gone

    def _drop_changes(self, community: str) -> int:
        """Take what names the community out of the log of changes; its deletion stands there by its mark."""
        # An author who was deleted everywhere stands under the name of the community without a name.
        kinds = _OF_PLACES if community else _OF_PLACES[:-1]
        with self._reading() as at:
            low, high = at.execute(sa.select(sa.func.min(changes.c.seq), sa.func.max(changes.c.seq))).one()
        gone = 0
        for first in range(low or 0, (high or -1) + 1, LOOKED_AT):
            here = changes.c.seq.between(first, first + LOOKED_AT - 1)
            with self._reading() as at:
                its = (here, changes.c.community == community, changes.c.kind.in_(kinds))
                some = list(at.scalars(sa.select(changes.c.seq).where(*its)))
            for part in portions(some, MOST):
                with self._writing() as to:
                    gone += to.execute(sa.delete(changes).where(changes.c.seq.in_(part))).rowcount
        return gone

    def _left_of(self, place: bytes) -> dict[str, int]:
        with self._reading() as at:
            return {
                name: at.execute(sa.select(sa.func.count()).where(table.c.place == place)).scalar_one()
                for name, table in (("posts", posts), ("feedback", feedback), ("spaces", spaces))
            }

    def readmit_community(self, community: str) -> bool:
        """Take new posts of a deleted community in again; False: was not deleted. What was deleted stays out.

        Raises ``StoreError`` while its deletion is not ended.
        """
        community = clean(community)
        if community in self.leaving():
            raise StoreError(f"the deletion of community {community[:60]!r} was cut off; end it by the same call first")
        with self._writing() as to:
            at_it = tombstones.c.key == digest("place", community)
            return to.execute(sa.delete(tombstones).where(at_it)).rowcount > 0

    def leaving(self) -> set[str]:
        """The communities whose deletion was begun and not ended: what is left of them is not to be used."""
        with self._reading() as at:
            return set(at.scalars(sa.select(facts.c.value).where(facts.c.name.startswith(LEAVING, autoescape=True))))

    def deleted_communities(self, communities: Iterable[str]) -> set[str]:
        """Those of the communities that were deleted and not readmitted since."""
        by_mark = {digest("place", clean(community)): community for community in communities}
        with self._reading() as at:
            gone = found(at, sa.select(tombstones.c.key), tombstones.c.key, by_mark)
        return {by_mark[row.key] for row in gone}

    @staticmethod
    def community_mark(community: str) -> str:
        """What stands for a deleted community in ``Change.ref``: a digest of its name."""
        return digest("place", clean(community)).hex()
