"""Every limit and switch of the service in one place; each limit is tested at one less, itself and one more."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ServeSettings:
    """What the service allows and how it behaves. Sizes are in bytes or characters, times in seconds.

    >>> ServeSettings(max_k=20).max_k, ServeSettings().least_authors
    (20, 2)
    """

    recommender: str = "recommender"
    """The name under which the store publishes the recommender."""
    forecaster: str = "forecaster"
    """The name under which the store publishes the forecaster."""

    # ---- answers
    budget: float = 2.0
    """A model that has not answered by then is cut off, and the answer comes from the next of the chain."""
    batch_budget: float = 20.0
    """The same for each portion of many drafts."""
    portion: int = 16
    """So many drafts of a batch are asked at once; others' drafts are answered between two portions."""
    waiting: int = 64
    """With more questions than this waiting for a model, further ones are answered without it."""
    least_authors: int = 2
    """A tag that fewer authors of the community have used is suggested to nobody else; 1: no such floor."""
    anonymous: str = "each"
    """Posts without an author count as ``each`` of its own, or as those of ``one`` author."""
    keep_previous: bool = True
    """Whether the model that was replaced stays in memory, as the first to fall back on."""
    learn_from_feedback: bool = True
    """Whether what authors accept and reject moves tags up and down in their community."""
    learn: bool = True
    """Whether new posts reach the running models. Deletions always do."""
    warm: int = 30
    """So many recent drafts a model must answer before it takes over."""
    sync_seconds: float = 1.0
    """How often the store's changes are read."""
    half_life_days: float = 2.0
    """Trends: a use so many days old counts half."""
    trend_days: float = 30.0
    """Trends: older uses count for nothing."""

    # ---- limits of what is asked
    max_text: int = 20_000
    """Characters of a draft."""
    max_post_text: int = 100_000
    """Characters of a post that is stored."""
    max_name: int = 500
    """Characters of an id, an author, a community."""
    max_tag: int = 200
    """Characters of a tag."""
    max_tags: int = 100
    """Tags of one post, tags chosen, tags unwanted."""
    max_k: int = 50
    """Suggestions per draft."""
    max_drafts: int = 100
    """Drafts of one batch."""
    max_posts: int = 1_000
    """Posts of one request."""
    max_events: int = 1_000
    """Feedback events of one request."""
    max_space: int = 50_000
    """Tags, aliases or denied tags of one tag space."""
    max_pictures: int = 4
    """Pictures of a draft or a post."""
    max_picture: int = 10_000_000
    """Of one picture."""
    max_pixels: int = 50_000_000
    """Of one picture."""
    picture_seconds: float = 5.0
    """To decode one picture."""
    max_body: int = 4_000_000
    """Of a JSON body."""
    max_upload: int = 42_000_000
    """Of a body with pictures."""
    max_depth: int = 20
    """Lists and objects within each other in a JSON body."""
    max_buffered: int = 256_000_000
    """Of all bodies that are being read or worked on at a time."""
    body_seconds: float = 30.0
    """Until a body must have arrived."""
    threads: int = 16
    """Requests that are worked on at a time; others wait."""
    max_address: int = 4_000
    """Of the path and query of a request."""

    # ---- who may ask
    open_on_loopback: bool = True
    """Whether this machine needs no key as long as the store holds none."""
    key_seconds: float = 2.0
    """How long a key is taken as known before the store is asked again, and so until a revocation holds."""
    default_rate: float = 50.0
    """Requests a second of a key that states none."""
    failures: float = 5.0
    """Wrong keys a second from one address, above which it is told to wait."""
    public_metrics: bool = False
    """Whether /metrics needs no key."""
    fetch_pictures: bool = False
    """Whether a draft may name pictures by address."""
    fetch_seconds: float = 5.0
    """To fetch one picture."""

    def limits(self) -> dict[str, Any]:
        """The limits of what is asked, by name, as the API states them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name.startswith("max_")}
