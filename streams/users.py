"""A user's record as Redis holds it, for whoever serves and does not own the user."""

from __future__ import annotations

from online_models.history import UserRecord
from online_models.store import Store
from online_models.userstate import UserKeys, UserState
from streams.ingest import as_map
from streams.partitioner import partition_of


async def read_user(store: Store, user_id: str, partitions: int) -> UserRecord:
    """The record, in one round trip; an empty one for a user nobody knows.

    Raises:
        StoreUnavailable: Redis did not answer in time.
    """
    prefix = store.prefix(partition_of(user_id, partitions))
    keys = UserKeys.of(prefix, user_id)
    record, impressed = await store.read([("GET", keys.record), ("HGETALL", keys.impressed)])
    return UserState.load(user_id, prefix, record, {}, None, as_map(impressed)).record
