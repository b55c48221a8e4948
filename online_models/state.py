"""The fold of one partition: events in, in order; what to write, to learn and to publish out.

No input, no output, no clock. The owner of a partition loads the users it needs, folds a micro-batch in memory,
commits :attr:`Outcome.writes` with the next position in one guarded step, and only then learns from the rest. When
the commit is refused the whole fold is dropped and read again from Redis, so a half-told batch leaves no trace.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from online_models.base import Interaction
from online_models.counters import CLICK, CounterBatch
from online_models.decay import landmark, weight
from online_models.due import OpenWindows
from online_models.events import (
    Action,
    Click,
    Exposure,
    Identify,
    Impression,
    Privacy,
    Profile,
    UserEvent,
)
from online_models.fold_policy import NOT_INTERESTED, FoldPolicy
from online_models.history import UserRecord
from online_models.labels import Labelled, Pending, from_exposure
from online_models.store_writes import Write
from online_models.turns import evidence
from online_models.userstate import UserState
from online_models.windows import Window

MOST_GROUPS = 32
"""Groups of users told apart in a partition's counts."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A validated event with the time its record was appended to the log, ms."""

    event: UserEvent
    appended: int


@dataclass(slots=True)
class Outcome:
    """What one micro-batch leads to."""

    source: str = ""  # which partition it came from
    writes: list[Write] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    labelled: list[Labelled] = field(default_factory=list)
    acted: dict[str, tuple[int, str]] = field(default_factory=dict)  # user -> time and id of the last action
    receipts: list[dict[str, object]] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)
    counts: CounterBatch | None = None
    stats: Counter[str] = field(default_factory=Counter)


class PartitionFold:
    """The state of one partition and how events change it.

    Args:
        prefix: of this partition's keys in Redis, ``<namespace>:{partition}:``.
        policy: what the fold is told.
    """

    def __init__(self, prefix: str, policy: FoldPolicy) -> None:
        self.prefix = prefix
        self.policy = policy
        self.users: OrderedDict[str, UserState] = OrderedDict()
        self.watermark = 0
        self.windows = OpenWindows()
        self._from_impressions = {CLICK: Window(policy.window_ms)} | {
            action: window for action, window in policy.windows.items() if not window.after_click
        }
        self._from_clicks = {action: w for action, w in policy.windows.items() if w.after_click}
        self._owing: dict[str, str] = {}  # user -> cause of the newest slate owed
        self._published: list[str] = []
        self._groups: set[str] = set()
        self._batch: Outcome
        self._counts: CounterBatch
        self._touched: dict[str, UserState] = {}

    # ------------------------------------------------------------------ loading

    def restore(
        self, due: Iterable[tuple[bytes, float]], watermark: int, owing: Mapping[str, str] | None = None
    ) -> None:
        """Take over open windows and the watermark as Redis holds them, and by user the cause of each slate owed."""
        self._owing = dict(owing or {})
        self.windows.restore(due)
        self.watermark = watermark

    def expected_watermark(self, events: Sequence[Timed]) -> int:
        """The watermark once ``events`` are folded: event time less the lateness allowed, never back."""
        newest = max((min(t.event.ts, t.appended) for t in events), default=0)
        return max(self.watermark, newest - self.policy.lateness_ms)

    def missing(self, events: Sequence[Timed], watermark: int) -> list[str]:
        """Users that must be loaded before folding ``events`` and closing windows up to ``watermark``."""
        wanted = {t.event.user_id for t in events}
        wanted.update(self.windows.users_by(watermark))
        return sorted(
            user_id for user_id in wanted if user_id not in self.users
        )  # a set less a view reads it all

    def admit(self, user_id: str, raw: Sequence[object]) -> None:
        """Hold a user as read by :meth:`~online_models.userstate.UserKeys.reads`."""
        self.users[user_id] = UserState.load(user_id, self.prefix, *raw)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ folding

    def fold(
        self,
        events: Sequence[Timed],
        ints: Mapping[str, int],
        watermark: int,
        merged: Mapping[str, UserRecord] | None = None,
    ) -> Outcome:
        """Fold a micro-batch in order, then close the windows that ``watermark`` has passed.

        Args:
            ints: the interned item ids of all items named in ``events``.
            merged: records of anonymous users that ``identify`` events name.
        """
        self._batch = Outcome(source=self.prefix)
        self._counts = CounterBatch(self.policy.half_life_ms, self.policy.actions)
        self._touched = {}
        for timed in events:
            self._one(timed.event, ints, merged or {})
        self.watermark = max(self.watermark, watermark)
        self._close_windows()
        self._collect_writes()
        self._evict()
        return self._batch

    def published(self, user_id: str, cause: str) -> None:
        """A slate owed is out (or skipped); the next commit forgets the debt, unless the user acted again since."""
        if self._owing.get(user_id) == cause:
            del self._owing[user_id]
            self._published.append(user_id)

    @property
    def owing(self) -> Mapping[str, str]:
        """Who is owed a slate, with the cause of the newest."""
        return self._owing

    @property
    def has_debts(self) -> bool:
        """Whether the next commit has settled debts to write."""
        return bool(self._published)

    @property
    def next_due(self) -> int | None:
        """When the next window closes, event time, ms."""
        return self.windows.next_due

    def _one(self, event: UserEvent, ints: Mapping[str, int], merged: Mapping[str, UserRecord]) -> None:
        state = self.users[event.user_id]
        self.users.move_to_end(event.user_id)
        if not state.first_time(event.event_id, self.policy.ring_size):
            self._batch.stats["duplicates"] += 1
            return
        self._touched[event.user_id] = state
        self._batch.stats[event.type] += 1
        state.expire(event.ts - self.policy.pending_ttl_ms)
        match event:
            case Impression():
                self._impression(state, event, ints)
            case Click() | Action():
                self._action(state, event, ints[event.item_id])
            case Exposure():
                self._exposure(state, event, ints)
            case Profile():
                self._profile(state, event)
            case Identify():
                self._identify(state, event, merged)
            case Privacy():
                self._privacy(state, event)

    def _impression(self, state: UserState, event: Impression, ints: Mapping[str, int]) -> None:
        record, state.changed = state.record, True
        shared = record.spend(event.ts, self.policy.events_per_day)
        pending = state.pending.get(event.request_id) if event.request_id else None
        for shown in event.items:
            item = ints[shown.item_id]
            record.count("impression")
            record.see(item)
            self._decayed(record, event.ts, impressions=1.0)
            if shared:
                self._counts.impression(item, event.ts, event.surface)
            if event.surface in self.policy.fatigue_surfaces:
                record.impressed[item] = record.impressed.get(item, 0) + 1
                state.changes.impressed.add(item)
            at = None if pending is None else pending.slot(item)
            if pending is None or at is None:
                self._batch.stats["impressions_without_exposure"] += 1
            elif shared:
                for action, window in self._from_impressions.items():
                    pending.open(at, event.ts + window.ms, action)
                state.changes.changed.add(pending.request_id)
        if pending is not None and shared:
            for action in self._from_impressions:
                self._open_window(state, pending, action)
        self._batch.stats["over_day_cap"] += not shared
        if shared and record.group:
            self._of_group(record.group, visits=1, impressions=len(event.items))

    def _of_group(self, group: str, **counts: int) -> None:
        """Count for a group of users; of those beyond :data:`MOST_GROUPS` as one."""
        if group not in self._groups:
            if len(self._groups) >= MOST_GROUPS:
                group = "(other)"
            self._groups.add(group)
        for what, n in counts.items():
            self._batch.stats[f"group_{what}_{group}"] += n

    def _action(self, state: UserState, event: Click | Action, item: int) -> None:
        record, state.changed = state.record, True
        shared = record.spend(event.ts, self.policy.events_per_day)
        record.count(event.action)
        if shared:
            self._counts.action(item, event.action, event.ts, event.surface)
        self._batch.stats["over_day_cap"] += not shared
        self._batch.acted[event.user_id] = (event.ts, event.event_id)  # a dislike wants another slate, too
        strength = self.policy.actions.get(event.action, 0.0)
        if strength <= 0.0:
            record.pass_over(item, self.policy.seen_max)
            self._dislike(record, event)
            if event.action in self.policy.windows:
                self._label(state, event, item, shared)
            return
        if event.action == CLICK:
            self._decayed(record, event.ts, clicks=1.0)
            if shared and record.group:
                self._of_group(record.group, clicks=1)
        if shared:
            self._batch.interactions.append(self._interaction(state, item, event.ts, strength))
        record.act(item, event.ts, self.policy.seen_max)
        if event.action == CLICK or event.action in self.policy.windows:
            self._label(state, event, item, shared)

    def _interaction(self, state: UserState, item: int, ts: int, strength: float) -> Interaction:
        before, voted = state.record.query(state.number, ts), state.record.voted(item, ts)
        if voted:
            self._batch.stats["votes_spent"] += voted.bit_count()
        return Interaction(state.number, item, ts, before.recent, before.recent_ts, strength, voted)

    def _dislike(self, record: UserRecord, event: Click | Action) -> None:
        if event.action != NOT_INTERESTED:
            return
        record.veto(f"item:{event.item_id}")
        for what in event.context.get("veto", ()):
            if isinstance(what, str) and what.startswith(("item:", "tag:", "provider:")):
                record.veto(what[:300])

    def _label(self, state: UserState, event: Click | Action, item: int, shared: bool) -> None:
        action = event.action
        if action in self._from_clicks:
            pending = state.waiting_for(action, event.request_id, item)
        else:
            pending = state.slate_of(event.request_id, item)
        label = (
            pending.act(item, event.ts, state.number, action, event.value) if pending is not None else None
        )
        if pending is None or label is None:
            self._batch.stats["actions_without_exposure"] += 1
            return
        state.changes.changed.add(pending.request_id)
        if action == CLICK and shared:
            self._clicked(state, pending, item, event.ts)
        self._count(label)
        if shared:
            self._batch.labelled.append(label)

    def _clicked(self, state: UserState, pending: Pending, item: int, ts: int) -> None:
        """A slot was clicked for the first time: what may follow from it is waited for."""
        for action, window in self._from_clicks.items():
            pending.show(item, ts, window.ms, action)
            self._open_window(state, pending, action)

    def _count(self, label: Labelled) -> None:
        of = "" if label.action == CLICK else f"{label.action}_"
        self._batch.stats[f"label_{of}{label.kind.name.lower()}"] += 1

    def _exposure(self, state: UserState, event: Exposure, ints: Mapping[str, int]) -> None:
        try:
            pending = from_exposure(event, ints)
        except ValueError:
            self._batch.stats["exposures_unreadable"] += 1
            return
        self._batch.stats["pending_overflow"] += state.keep(
            pending, self.policy.pending_max, self.policy.pending_ttl_ms
        )
        self._batch.exposures.append(event)

    def _profile(self, state: UserState, event: Profile) -> None:
        state.record.group, state.changed = event.group[:64], True
        value = orjson.dumps({"attributes": event.attributes, "group": event.group, "ts": event.ts})
        self._batch.writes.append(("SET", state.keys.profile, value))

    def _identify(self, state: UserState, event: Identify, merged: Mapping[str, UserRecord]) -> None:
        other = merged.get(event.anonymous_id)
        if other is None:
            self._batch.stats["identify_unknown"] += 1
            return
        state.record.merge(other, self.policy.seen_max)
        state.changed = True
        self._batch.acted[event.user_id] = (event.ts, event.event_id)

    def _privacy(self, state: UserState, event: Privacy) -> None:
        receipt: dict[str, object] = {
            "v": 1, "id": event.event_id, "user_id": event.user_id, "request": event.request, "ts": event.ts,
        }  # fmt: skip
        keys = state.keys
        if event.request == "export":
            receipt["data"] = {
                "counts": state.record.counts,
                "history": list(zip(state.record.recent_items, state.record.recent_ts, strict=True)),
                "seen": list(state.record.shown),
                "history_counts_since": state.record.turned,
                "group": state.record.group,
                "vetoes": sorted(state.record.vetoes),
            }
        else:
            removed = (keys.record, keys.pending, keys.ring, keys.impressed, keys.profile)
            receipt["removed"] = ["record", "pending", "ring", "impressed", "profile"]
            self._batch.writes.append(("DEL", *removed))
            self._forget(state)
        self._batch.receipts.append(receipt)

    def _forget(self, state: UserState) -> None:
        for pending in state.pending.values():
            for action in (CLICK, *pending.others):
                if pending.marks(action).due:
                    self.windows.closed(state.user_id, pending.request_id, action)
        fresh = UserState(state.user_id, self.prefix, number=state.number)
        self.users[state.user_id] = fresh
        self._touched.pop(state.user_id, None)
        self._batch.acted.pop(state.user_id, None)
        self._owing.pop(state.user_id, None)
        self._batch.writes.append(("ZREM", f"{self.prefix}dirty", state.user_id))

    # ------------------------------------------------------------------ windows, writes, memory

    def _decayed(self, record: UserRecord, ts: int, impressions: float = 0.0, clicks: float = 0.0) -> None:
        mark = landmark(ts, self.policy.half_life_ms)
        factor = weight(ts, mark, self.policy.half_life_ms)
        seen, acted = record.windows.get(mark, (0.0, 0.0))
        record.windows[mark] = (seen + impressions * factor, acted + clicks * factor)
        while len(record.windows) > 2:
            del record.windows[min(record.windows)]

    def _open_window(self, state: UserState, pending: Pending, action: str) -> None:
        due = pending.marks(action).due
        if due:
            self.windows.open(due, state.user_id, pending.request_id, action)

    def _close_windows(self) -> None:
        while (opened := self.windows.pop(self.watermark)) is not None:
            due, user_id, request_id, action = opened
            state = self.users.get(user_id)
            pending = state.pending.get(request_id) if state is not None else None
            if state is not None and pending is not None:
                if pending.marks(action).due > due:
                    continue  # opened again since, and in the heap again
                self._close(state, pending, action)
            self.windows.closed(user_id, request_id, action)

    def _close(self, state: UserState, pending: Pending, action: str) -> None:
        if action == CLICK and state.record.weigh(evidence(pending.foretold()), pending.ts):
            state.changed = True
        for label in pending.close(state.number, action):
            self._batch.labelled.append(label)
            self._count(label)
        state.changes.changed.add(pending.request_id)
        self._touched[state.user_id] = state

    def _collect_writes(self) -> None:
        writes = self._batch.writes
        policy = self.policy
        lasting = policy.pending_ttl_ms, policy.ring_ttl_ms, policy.longest_ms
        for state in self._touched.values():
            writes += state.writes(*lasting)
        writes.extend(self.windows.writes(f"{self.prefix}due"))
        self._batch.counts = self._counts
        writes += self._counts.writes(self.prefix)
        dirty = f"{self.prefix}dirty"
        if self._published:
            settled = [u for u in self._published if u not in self._batch.acted]
            self._published.clear()
            if settled:
                writes.append(("ZREM", dirty, *settled))
        acted = self._batch.acted
        self._owing.update((user_id, cause) for user_id, (_, cause) in acted.items())
        if acted:
            writes.append(
                ("ZADD", dirty, *(arg for user_id, (ts, _) in acted.items() for arg in (ts, user_id)))
            )
        writes.append(("SET", f"{self.prefix}watermark", self.watermark))

    def _evict(self) -> None:
        while len(self.users) > self.policy.users_in_memory:
            self.users.popitem(last=False)
