"""The store of a running Hashloom: SQLite in a folder by default, PostgreSQL by URL."""

from __future__ import annotations

from hashloom.store.errors import BusyStore as BusyStore
from hashloom.store.errors import DamagedStore as DamagedStore
from hashloom.store.errors import Deleted as Deleted
from hashloom.store.errors import FullStore as FullStore
from hashloom.store.errors import InUse as InUse
from hashloom.store.errors import NewerStore as NewerStore
from hashloom.store.errors import NotThere as NotThere
from hashloom.store.errors import ReadOnlyStore as ReadOnlyStore
from hashloom.store.errors import StoreError as StoreError
from hashloom.store.errors import TrimmedChanges as TrimmedChanges
from hashloom.store.errors import UnreachableStore as UnreachableStore
from hashloom.store.store import Store as Store
from hashloom.store.things import Change as Change
from hashloom.store.things import Day as Day
from hashloom.store.things import DeletionReport as DeletionReport
from hashloom.store.things import Feedback as Feedback
from hashloom.store.things import FeedbackPut as FeedbackPut
from hashloom.store.things import Key as Key
from hashloom.store.things import Model as Model
from hashloom.store.things import Put as Put
from hashloom.store.things import Restored as Restored
from hashloom.store.things import SpaceChange as SpaceChange
