"""All that the owner of a partition holds of one user: record, pending requests, ring of seen event ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from online_models import history, labels_wire
from online_models.history import UserRecord
from online_models.identity import digest8, hash64
from online_models.labels import Pending
from online_models.store_writes import Write

_MARK = 8  # bytes that stand for an event id
RECORD, PENDING, RING, IMPRESSED, PROFILE = "u", "x", "r", "f", "a"
"""What the keys of a user are told apart by."""


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
        return cls(*(f"{prefix}{kind}:{user_id}" for kind in (RECORD, PENDING, RING, IMPRESSED, PROFILE)))

    def reads(self) -> list[tuple[str, str]]:
        """The commands that read a user, in the order :meth:`UserState.load` takes the answers."""
        return [
            ("GET", self.record),
            ("HGETALL", self.pending),
            ("GET", self.ring),
            ("HGETALL", self.impressed),
        ]


@dataclass(slots=True)
class Changes:
    """What a user's slates and fatigue counts have gone through since the last commit."""

    new: set[str] = field(default_factory=set)  # slates not stored yet
    changed: set[str] = field(default_factory=set)  # slates whose marks have moved
    dropped: set[str] = field(default_factory=set)
    impressed: set[int] = field(default_factory=set)  # items


@dataclass(slots=True)
class UserState:
    """One user in the owner's memory, with what has changed since the last commit.

    Tens of thousands are held, and nearly every event of a large namespace is of one met for the first time: so it is
    few objects, and what most users never need is made when they do.
    """

    user_id: str
    prefix: str  # of the partition's keys
    record: UserRecord = field(default_factory=UserRecord)
    pending: dict[str, Pending] = field(default_factory=dict)
    ring: bytes = b""  # of event ids, eight bytes each, the oldest first
    number: int = 0
    changed: bool = False
    ring_changed: bool = False
    _changes: Changes | None = None

    @classmethod
    def load(
        cls,
        user_id: str,
        prefix: str,
        record: bytes | None,
        pending: Mapping[bytes, bytes],
        ring: bytes | None,
        impressed: Mapping[bytes, bytes],
    ) -> UserState:
        """The user as Redis holds it under ``prefix``; an unknown one is new."""
        state = cls(
            user_id, prefix, history.decode(record) if record else UserRecord(), ring=ring or b"",
            number=hash64(user_id),
        )  # fmt: skip
        if pending:
            requests = (
                labels_wire.decode(raw, pending.get(b"m:" + name[2:]), pending.get(b"w:" + name[2:]))
                for name, raw in pending.items()
                if name.startswith(b"s:")
            )
            state.pending = {p.request_id: p for p in sorted(requests, key=lambda p: (p.ts, p.request_id))}
        if impressed:
            state.record.impressed = {int(item): int(n) for item, n in impressed.items()}
        return state

    @property
    def keys(self) -> UserKeys:
        """Where it lives in Redis."""
        return UserKeys.of(self.prefix, self.user_id)

    @property
    def changes(self) -> Changes:
        """What has changed of slates and fatigue counts; to be added to."""
        if self._changes is None:
            self._changes = Changes()
        return self._changes

    def first_time(self, event_id: str, size: int) -> bool:
        """Note an event id; False when it is one of the last ``size`` of this user."""
        mark, ring = digest8(event_id), self.ring
        at = ring.find(mark)
        while at % _MARK and at > 0:  # across two of them
            at = ring.find(mark, at + 1)
        if at >= 0:
            return False
        self.ring = (ring + mark)[-size * _MARK :]
        self.ring_changed = True
        return True

    def keep(self, pending: Pending, most: int, ttl_ms: int = 0) -> int:
        """Hold a slate served; returns how many older ones had to go for it.

        At most so many are held whole, and of as many more what a window waits for that outlives them by ``ttl_ms``.
        """
        if pending.request_id in self.pending:
            self.changes.changed.add(pending.request_id)  # the marks stored are of the one before
        self.pending[pending.request_id] = pending
        self.changes.new.add(pending.request_id)
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
        self.changes.new.discard(request_id)
        self.changes.changed.discard(request_id)
        self.changes.dropped.add(request_id)

    def expire(self, before: int) -> None:
        """Forget requests served before a time, ms, but for what a window waits for that closes after it."""
        if not self.pending:
            return
        for request_id in [r for r, p in self.pending.items() if p.ts < before and not p.click.due]:
            if not self.pending[request_id].trimmed:
                self._trim_or_drop(request_id, before)
            elif not self.pending[request_id].outlives(before):
                self.drop(request_id)

    def _trim_or_drop(self, request_id: str, before: int) -> None:
        if self.pending[request_id].trim(before):
            self.changes.new.add(request_id)
            self.changes.changed.add(request_id)
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
            out.append(("SET", f"{self.prefix}{RECORD}:{self.user_id}", history.encode(self.record)))
        if self.ring_changed:
            out.append(("SET", f"{self.prefix}{RING}:{self.user_id}", self.ring, "PX", ring_ttl_ms))
        self.changed = self.ring_changed = False
        if self._changes is not None:
            changes, self._changes = self._changes, None
            out += self._changed(changes, pending_ttl_ms, longest_ms)
        return out

    def _changed(self, changes: Changes, pending_ttl_ms: int, longest_ms: int) -> list[Write]:
        """The commands for slates and fatigue counts."""
        out: list[Write] = []
        keys = self.keys
        if changes.dropped:
            names = [
                kind + request_id for request_id in sorted(changes.dropped) for kind in ("s:", "m:", "w:")
            ]
            out.append(("HDEL", keys.pending, *names))
        if changes.new or changes.changed:
            out.append(("HSET", keys.pending, *self._pending_fields(changes)))
            waits = any(p.others for p in self.pending.values())
            out.append(("PEXPIRE", keys.pending, max(pending_ttl_ms, longest_ms * waits)))
        if changes.impressed:
            counts = [
                str(n) for item in sorted(changes.impressed) for n in (item, self.record.impressed[item])
            ]
            out.append(("HSET", keys.impressed, *counts))
            out.append(("PEXPIRE", keys.impressed, pending_ttl_ms))
        return out

    def _pending_fields(self, changes: Changes) -> list[str | bytes]:
        """A slate is stored once; of a stored one only its marks are written again, a fortieth of the bytes."""
        out: list[str | bytes] = []
        for request_id in sorted(changes.new):
            out += ("s:" + request_id, labels_wire.encode(self.pending[request_id]))
        for request_id in sorted(changes.changed):
            pending = self.pending[request_id]
            out += ("m:" + request_id, labels_wire.encode_marks(pending))
            if pending.others or request_id in changes.new:  # else those of the one before would stay
                out += ("w:" + request_id, labels_wire.encode_others(pending))
        return out
