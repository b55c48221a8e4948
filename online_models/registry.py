"""Which version of the model does what: a log of changes that is only ever appended to, and the state it adds up to.

    candidate -> shadow -> canary -> live -> retired

Every process reads the same log and so comes to the same state; a change that the state forbids stays in the log, with
the reason why it had no effect. Nothing here knows where the log is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import orjson

from online_models.chance import stable_hash
from online_models.errors import FreshetError
from online_models.heads import BASE, Recipe
from online_models.objective_weights import Weights

State = Literal["candidate", "shadow", "canary", "live", "retired"]
What = Literal[
    "register", "promote", "retire", "rollback", "release", "explore", "pause", "resume", "weigh", "approve"
]
MOST_HELD = 4
"""Versions that learn or answer at once: each costs memory and a part of every event's time."""
MOST_KEPT = 10_000
MOST_APPROVALS = 10
MOST_SURFACES = 1_000
FOREVER_MS = 4_102_444_800_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_NEXT: dict[State, State] = {"candidate": "shadow", "shadow": "canary", "canary": "live"}


class ChangeUnreadable(FreshetError):
    """A record of the log is no change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the log; ``id`` tells repeats.

    Attributes:
        version: that is changed; for a rollback the one to be taken back, so that none is taken back twice.
        share: of users that a canary answers.
        approvals: for ``register``: of so many people before the version may go live.
        on: for ``explore``: whether exploration is on.
        details: a recipe when registered; the ``surface`` and its ``weights`` by action for ``weigh``, without weights
            as the settings have them; else what the version had learnt (offsets, data window, feature schema, code
            version, metrics), or the evidence of a rollback or pause. For ``pause`` and ``resume`` also ``until``, ms
            since the epoch: when a guard's pause ends, and until when no guard pauses again what a person has resumed.
    """

    id: str
    ts: int
    who: str
    what: What
    version: str = ""
    share: float = 0.0
    approvals: int = 0
    on: bool = True
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As a record of the log."""
        return orjson.dumps({"v": 1, **asdict(self)}, option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def decode(cls, raw: bytes) -> Change:
        """The change :meth:`encode` wrote.

        Raises:
            ChangeUnreadable: it is none.

        >>> change = Change(id="1", ts=0, who="ann", what="explore", on=False)
        >>> Change.decode(change.encode()) == change
        True
        """
        try:
            told = orjson.loads(raw)
            if told.pop("v") != 1 or told["what"] not in get_args(What):
                raise ChangeUnreadable(f"a change of another kind: {raw[:80]!r}")
            change = cls(**told)
            if not (isinstance(change.share, int | float) and isinstance(change.details, dict)):
                raise ChangeUnreadable(f"share or details of another type: {raw[:80]!r}")
            if type(change.approvals) is not int:
                raise ChangeUnreadable(f"approvals of another type: {raw[:80]!r}")
            return change
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise ChangeUnreadable(f"not a change: {raw[:80]!r}") from error


@dataclass(slots=True)
class Version:
    """A version and how it came to be.

    Attributes:
        approvals: who promoted it to canary or live.
        wanted: how many must approve before it goes live; ``approved`` are those who have, and did not register it.
    """

    name: str
    state: State
    who: str
    created: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    approvals: list[str] = field(default_factory=list)
    wanted: int = 0
    approved: list[str] = field(default_factory=list)
    since: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A change as it was taken; ``refused`` says why it had no effect, empty when it had."""

    change: Change
    refused: str = ""


class Registry:
    """The state that a log of changes adds up to.

    >>> registry = Registry()
    >>> for k, what in enumerate(("register", "promote", "promote")):
    ...     _ = registry.apply(Change(id=str(k), ts=k, who="ann", what=what, version="v2", share=0.1))
    >>> registry.canary, registry.live, registry.versions["v2"].approvals
    ('v2', 'base', ['ann'])
    >>> registry.apply(Change(id="4", ts=9, who="guard", what="rollback", version="v2")), registry.frozen
    ('', True)
    """

    def __init__(self) -> None:
        self.versions = {BASE: Version(BASE, "live", "settings", 0)}
        self.live = BASE
        self.previous = ""  # live before, held ready
        self.canary = ""
        self.share = 0.0
        self.frozen = False
        self.exploring = True
        self.paused_until = 0  # experiments, ms since the epoch
        self.paused_by = ""
        self.open_until = 0  # somebody resumed them: no guard pauses them before
        self.weights: dict[str, Weights] = {}  # by surface; of one that is not here the settings hold
        self.audit: list[Entry] = []
        self._seen: set[str] = set()

    def apply(self, change: Change) -> str:
        """Take a change in; returns why it has no effect, empty when it has."""
        if change.id in self._seen:
            return "told before"
        self._seen.add(change.id)
        refused = self._apply(change)
        self.audit.append(Entry(change, refused))
        del self.audit[:-MOST_KEPT]
        return refused

    def _apply(self, change: Change) -> str:
        match change.what:
            case "register":
                return self._register(change)
            case "promote":
                return self._promote(change)
            case "retire":
                return self._retire(change)
            case "rollback":
                return self._rollback(change)
            case "release":
                self.frozen = False
            case "explore":
                self.exploring = change.on
            case "pause":
                return self._pause(change)
            case "resume":
                self.paused_until, self.paused_by = 0, ""
                self.open_until = int(change.details.get("until", 0))
            case "weigh":
                return self._weigh(change.details)
            case "approve":
                return self._approve(change)
        return ""

    def _approve(self, change: Change) -> str:
        """Somebody else than who registered it has looked at a version that is not live yet."""
        version = self.versions.get(change.version)
        if version is None:
            return f"there is no version {change.version!r}; there are {', '.join(self.versions)}"
        if version.state not in _NEXT:
            return f"{version.name} is {version.state}: there is nothing to approve"
        if change.who == version.who:
            return f"{change.who} registered {version.name}: somebody else must approve it"
        if change.who in version.approved:
            return f"{change.who} has approved {version.name} already"
        version.approved.append(change.who)
        return ""

    def _pause(self, change: Change) -> str:
        """Pause experiments; a guard's pause ends by itself, and waits for what a person has resumed."""
        until = change.details.get("until")
        if until is not None and change.ts < self.open_until:
            return "somebody has resumed experiments: they are left alone for a while"
        ends = FOREVER_MS if until is None else int(until)
        if ends <= self.paused_until:
            return "experiments are paused for longer already"
        self.paused_until, self.paused_by = ends, change.who
        return ""

    # ------------------------------------------------------------------ who answers, who learns

    @property
    def held(self) -> list[str]:
        """Versions that must be ready in memory."""
        wanted = [self.live, self.previous]
        wanted += [v.name for v in self.versions.values() if v.state in ("shadow", "canary")]
        return [name for name in dict.fromkeys(wanted) if name]

    def learns(self, version: str) -> bool:
        """Whether a version learns: those that answer or stand by to; one that was replaced stays as it was."""
        return not self.frozen and self.versions[version].state in ("shadow", "canary", "live")

    def version_for(self, user_id: str) -> str:
        """Which version answers a user."""
        return self.canary if self.canary and self._in_canary(user_id) else self.live

    def label_for(self, user_id: str) -> str:
        """On which side of a canary a user is, as exposures carry it; empty while there is none."""
        if not self.canary:
            return ""
        return f"model:{self.canary}/{'canary' if self._in_canary(user_id) else 'live'}"

    def _in_canary(self, user_id: str) -> bool:
        return stable_hash("canary", self.canary, user_id) < self.share * 2.0**63

    def diff(self, a: str, b: str) -> dict[str, tuple[Any, Any]]:
        """In what two versions differ: by name, what the first and the second have; KeyError for one unknown."""
        first, second = _flat(self.versions[a]), _flat(self.versions[b])
        return {
            name: (first.get(name), second.get(name))
            for name in sorted({*first, *second})
            if first.get(name) != second.get(name)
        }

    # ------------------------------------------------------------------ changes

    def _register(self, change: Change) -> str:
        if not _NAME.fullmatch(change.version):
            return "a version is called by 1 to 40 of a-z 0-9 _ . -, the first a letter or digit"
        if change.version in self.versions:
            return f"there is a version {change.version} already"
        try:
            Recipe.of(change.details)
        except ValueError as error:
            return str(error)
        if not 0 <= change.approvals <= MOST_APPROVALS:
            return f"approvals must be from 0 to {MOST_APPROVALS}, not {change.approvals}"
        self.versions[change.version] = Version(
            change.version, "candidate", change.who, change.ts, dict(change.details), wanted=change.approvals,
            since=change.ts,
        )  # fmt: skip
        return ""

    def _promote(self, change: Change) -> str:
        version = self.versions.get(change.version)
        if version is None:
            return f"there is no version {change.version!r}; there are {', '.join(self.versions)}"
        to = _NEXT.get(version.state)
        if to is None:
            return f"{version.name} is {version.state}: it cannot be promoted"
        if refused := self._hinders(version, to, change):
            return refused
        if to == "canary":
            self.canary, self.share = version.name, change.share
        if to == "live":
            self._replace_live(version, change.ts)
        if to != "shadow":
            version.approvals.append(change.who)
        version.state, version.since = to, change.ts
        version.lineage |= change.details
        return ""

    def _hinders(self, version: Version, to: State, change: Change) -> str:
        if self.frozen:
            return "learning is frozen by a rollback: release it first"
        if to == "live" and len(version.approved) < version.wanted:
            return (
                f"{version.name} needs {version.wanted} approvals and has {len(version.approved)}: "
                f"freshet model approve {version.name}"
            )
        if to == "shadow" and len(self.held) >= MOST_HELD:
            return f"{len(self.held)} versions are held already: retire one"
        if to == "canary" and self.canary:
            return f"{self.canary} is the canary already"
        if to == "canary" and not 0.0 < change.share <= 0.5:
            return f"a canary's share must be in (0, 0.5], not {change.share:g}"
        return ""

    def _replace_live(self, version: Version, ts: int) -> None:
        old = self.versions[self.live]
        old.state, old.since = "retired", ts
        self.live, self.previous = version.name, old.name
        self.canary, self.share = "", 0.0

    def _retire(self, change: Change) -> str:
        version = self.versions.get(change.version)
        if version is None or version.state not in ("candidate", "shadow"):
            return f"only a candidate or a shadow is retired; {change.version!r} is none"
        version.state, version.since = "retired", change.ts
        return ""

    def _weigh(self, details: Mapping[str, Any]) -> str:
        surface, weights = details.get("surface"), details.get("weights")
        if not isinstance(surface, str) or not 1 <= len(surface) <= 64:
            return f"a surface is called by 1 to 64 characters, not {surface!r}"
        if not weights:
            self.weights.pop(surface, None)
            return ""
        if surface not in self.weights and len(self.weights) >= MOST_SURFACES:
            return f"weights of {MOST_SURFACES} surfaces are held already: reset one"
        try:
            self.weights[surface] = Weights.parse(weights)
        except (ValueError, AttributeError, TypeError) as error:
            return str(error)
        return ""

    def _rollback(self, change: Change) -> str:
        wrong = self.canary or (self.live if self.previous else "")
        if not wrong:
            return "there is nothing to go back to"
        if change.version not in ("", wrong):
            return f"{change.version} answers nobody: {wrong} would be taken back"
        version = self.versions[wrong]
        if not self.canary:
            self.live, self.previous = self.previous, ""
            self.versions[self.live].state = "live"
        version.state, version.since = "retired", change.ts
        version.lineage |= {"rolled_back": change.reason}
        self.canary, self.share, self.frozen = "", 0.0, True
        return ""


def _flat(version: Version) -> dict[str, Any]:
    out: dict[str, Any] = {f"recipe.{name}": value for name, value in version.recipe.items()}
    out |= {f"lineage.{name}": value for name, value in version.lineage.items()}
    told = {"approvals": ", ".join(version.approvals), "approved": ", ".join(version.approved)}
    return {"state": version.state, "who": version.who, **told, **out}
