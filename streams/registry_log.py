"""The registry's log of changes: a list in Redis that is only appended to, read by every process every second."""

from __future__ import annotations

import asyncio
import getpass
import logging
import uuid
from collections.abc import Callable
from typing import Any

from online_models.errors import StoreRefused, StoreUnavailable
from online_models.registry import Change, ChangeUnreadable, Registry, What
from online_models.store import Store

log = logging.getLogger(__name__)

NAME = "model-log"
EVERY_S = 1.0


class RegistryLog:
    """The registry as the log says.

    Args:
        follow: told when the log has grown, with the state it adds up to.
    """

    def __init__(self, store: Store, follow: Callable[[Registry], None] = lambda _: None) -> None:
        self._store, self._follow = store, follow
        self.registry = Registry()
        self.unreadable = 0
        self._read = 0
        self._reading = asyncio.Lock()

    async def catch_up(self) -> bool:
        """Take in what was appended since last asked; whether there was anything."""
        async with self._reading:
            raw = await self._store.appended(NAME, self._read)
            self._read += len(raw)
            for one in raw:
                self._take(one)
        if raw:
            self._follow(self.registry)
        return bool(raw)

    async def add(self, change: Change) -> str:
        """Append a change; returns why it has no effect, empty when it has."""
        await self._store.append(NAME, change.encode())
        await self.catch_up()
        mine = next((e for e in reversed(self.registry.audit) if e.change.id == change.id), None)
        return mine.refused if mine is not None else "the log did not hold it"

    async def run(self) -> None:
        """Follow for ever; while Redis is away all stays as it is."""
        while True:
            try:
                await self.catch_up()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("the registry's log cannot be read: %s", error)
            await asyncio.sleep(EVERY_S)

    def _take(self, raw: bytes) -> None:
        try:
            change = Change.decode(raw)
        except ChangeUnreadable as error:
            self.unreadable += 1
            log.error("an entry of the registry's log is passed over: %s", error)
            return
        refused = self.registry.apply(change)
        told = f"{change.what} {change.version}".strip()
        if refused and refused != "told before":
            log.warning("%s by %s has no effect: %s", told, change.who, refused)
        elif not refused:
            log.info("%s by %s: %s", told, change.who, change.reason or "done")


def change(what: What, ts: int, *, who: str = "", **more: Any) -> Change:
    """A change of this moment, by whoever runs this process where nobody is named."""
    return Change(id=uuid.uuid4().hex, ts=ts, who=who or _user(), what=what, **more)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "unknown"
