"""All that the owner of a partition holds of one user: record, pending requests, ring of seen event ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from online_models import history, labels_wire
from online_models.history import UserRecord
from online_models.identity import digest8, hash64
from online_models.labels import Pending
from online_models.store_writes import Write


@dataclass(frozen=True, slots=True)
class UserKeys:
    """Where a user lives in Redis; all under the hash tag of the partition."""

    record: str
    pending: str
    ring: str
    impressed: str
    profile: str

    @classmethod
    def of(cls, prefix: str, user_id: str) -> UserKeys:
        """The keys of a user under ``prefix`` (``<namespace>:{partition}:``).

        None begins as a counter's does (``n:``, ``d:``, ``s:``, ``trend:``): a user may be called anything.
        """
        return cls(*(f"{prefix}{kind}:{user_id}" for kind in ("u", "x", "r", "f", "a")))

    def reads(self) -> list[tuple[str, str]]:
        """The commands that read a user, in the order :meth:`UserState.load` takes the answers."""
        return [
            ("GET", self.record),
            ("HGETALL", self.pending),
            ("GET", self.ring),
            ("HGETALL", self.impressed),
        ]


@dataclass(slots=True)
class UserState:
    """One user in the owner's memory, with what has changed since the last commit."""

    user_id: str
    keys: UserKeys
    record: UserRecord = field(default_factory=UserRecord)
    pending: dict[str, Pending] = field(default_factory=dict)
    ring: list[bytes] = field(default_factory=list)
    number: int = 0
    changed: bool = False
    new_pending: set[str] = field(default_factory=set)  # not stored yet
    changed_pending: set[str] = field(default_factory=set)
    dropped_pending: set[str] = field(default_factory=set)
    ring_changed: bool = False
    impressed_changed: set[int] = field(default_factory=set)

    @classmethod
    def load(
        cls,
        user_id: str,
        keys: UserKeys,
        record: bytes | None,
        pending: Mapping[bytes, bytes],
        ring: bytes | None,
        impressed: Mapping[bytes, bytes],
    ) -> UserState:
        """The user as Redis holds it; an unknown one is new."""
        state = cls(user_id, keys, number=hash64(user_id))
        if record:
            state.record = history.decode(record)
        requests = (
            labels_wire.decode(raw, pending.get(b"m:" + name[2:]), pending.get(b"w:" + name[2:]))
            for name, raw in pending.items()
            if name.startswith(b"s:")
        )
        state.pending = {p.request_id: p for p in sorted(requests, key=lambda p: (p.ts, p.request_id))}
        state.ring = [ring[k : k + 8] for k in range(0, len(ring), 8)] if ring else []
        state.record.impressed = {int(item): int(n) for item, n in impressed.items()}
        return state

    def first_time(self, event_id: str, size: int) -> bool:
        """Note an event id; False when it is one of the last ``size`` of this user."""
        mark = digest8(event_id)
        if mark in self.ring:
            return False
        self.ring.append(mark)
        del self.ring[:-size]
        self.ring_changed = True
        return True

    def keep(self, pending: Pending, most: int, ttl_ms: int = 0) -> int:
        """Hold a slate served; returns how many older ones had to go for it.

        At most so many are held whole, and of as many more what a window waits for that outlives them by ``ttl_ms``.
        """
        if pending.request_id in self.pending:
            self.changed_pending.add(pending.request_id)  # the marks stored are of the one before
        self.pending[pending.request_id] = pending
        self.new_pending.add(pending.request_id)
        if len(self.pending) <= most:
            return 0
        whole = [request_id for request_id, p in self.pending.items() if not p.trimmed]
        gone = whole[: max(0, len(whole) - most)]
        for request_id in gone:
            self._trim_or_drop(request_id, self.pending[request_id].ts + ttl_ms)
        parts = [request_id for request_id, p in self.pending.items() if p.trimmed]
        for request_id in parts[: max(0, len(parts) - most)]:
            self.drop(request_id)
        return len(gone) + max(0, len(parts) - most)

    def drop(self, request_id: str) -> None:
        """Forget a pending request."""
        del self.pending[request_id]
        self.new_pending.discard(request_id)
        self.changed_pending.discard(request_id)
        self.dropped_pending.add(request_id)

    def expire(self, before: int) -> None:
        """Forget requests served before a time, ms, but for what a window waits for that closes after it."""
        for request_id in [r for r, p in self.pending.items() if p.ts < before and not p.click.due]:
            if not self.pending[request_id].trimmed:
                self._trim_or_drop(request_id, before)
            elif not self.pending[request_id].outlives(before):
                self.drop(request_id)

    def _trim_or_drop(self, request_id: str, before: int) -> None:
        if self.pending[request_id].trim(before):
            self.new_pending.add(request_id)
            self.changed_pending.add(request_id)
        else:
            self.drop(request_id)

    def slate_of(self, request_id: str | None, item: int) -> Pending | None:
        """The slate an action answers: the one it names, else the newest that holds the item."""
        if request_id is not None:
            return self.pending.get(request_id)
        return next((p for p in reversed(self.pending.values()) if item in p.items), None)

    def waiting_for(self, action: str, request_id: str | None, item: int) -> Pending | None:
        """The slate whose window of an action is open for an item: the one named, else the newest."""
        named = (request_id,) if request_id is not None else reversed(self.pending)
        held = (self.pending[name] for name in named if name in self.pending)
        return next((p for p in held if p.waits_for(action, item)), None)

    def writes(self, pending_ttl_ms: int, ring_ttl_ms: int, longest_ms: int = 0) -> list[Write]:
        """What has changed, as Redis commands; afterwards nothing counts as changed.

        Args:
            longest_ms: how long slates are kept that a later window waits for.
        """
        out: list[Write] = []
        if self.changed:
            out.append(("SET", self.keys.record, history.encode(self.record)))
        if self.ring_changed:
            out.append(("SET", self.keys.ring, b"".join(self.ring), "PX", ring_ttl_ms))
        if self.dropped_pending:
            names = [
                kind + request_id
                for request_id in sorted(self.dropped_pending)
                for kind in ("s:", "m:", "w:")
            ]
            out.append(("HDEL", self.keys.pending, *names))
        if self.new_pending or self.changed_pending:
            out.append(("HSET", self.keys.pending, *self._pending_fields()))
            waits = any(p.others for p in self.pending.values())
            out.append(("PEXPIRE", self.keys.pending, max(pending_ttl_ms, longest_ms * waits)))
        if self.impressed_changed:
            counts = [
                str(n) for item in sorted(self.impressed_changed) for n in (item, self.record.impressed[item])
            ]
            out.append(("HSET", self.keys.impressed, *counts))
            out.append(("PEXPIRE", self.keys.impressed, pending_ttl_ms))
        self._settle()
        return out

    def _pending_fields(self) -> list[str | bytes]:
        """A slate is stored once; of a stored one only its marks are written again, a fortieth of the bytes."""
        out: list[str | bytes] = []
        for request_id in sorted(self.new_pending):
            out += ("s:" + request_id, labels_wire.encode(self.pending[request_id]))
        for request_id in sorted(self.changed_pending):
            pending = self.pending[request_id]
            out += ("m:" + request_id, labels_wire.encode_marks(pending))
            if pending.others or request_id in self.new_pending:  # else those of the one before would stay
                out += ("w:" + request_id, labels_wire.encode_others(pending))
        return out

    def _settle(self) -> None:
        self.changed = self.ring_changed = False
        self.new_pending.clear()
        self.changed_pending.clear()
        self.dropped_pending.clear()
        self.impressed_changed.clear()
