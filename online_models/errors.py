"""Every error freshet raises on purpose, under one root, so that a caller can catch the family."""

from __future__ import annotations


class FreshetError(Exception):
    """Root of all errors raised on purpose."""


class SettingsError(FreshetError):
    """A setting is missing or contradicts another; the text names it and the mend."""


class StoreUnavailable(FreshetError):
    """Redis did not answer in time; the caller may wait and try again."""


class StoreRefused(FreshetError):
    """Redis is there but must not be used as it is configured (eviction policy, partition count)."""


class Fenced(FreshetError):
    """Another worker owns the partition: this one must drop what it holds of it."""


class PositionMoved(FreshetError):
    """The stored position is not the one this worker read: seek to the stored one and read again."""


class NamesLost(FreshetError):
    """Redis has lost item names this process knows the numbers of: they must be given back before any new one."""


class CommitInvalid(FreshetError):
    """A write that must not reach Redis, found before the first one was made; ``index`` says which.

    The caller bisects to the event that caused it, dead-letters that one and commits the rest.
    """

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


class SnapshotCorrupt(FreshetError):
    """A snapshot's checksum or schema does not hold; the one before is to be tried."""


class NotReady(FreshetError):
    """Models or catalogue are not loaded yet; the caller may ask again in a moment."""


class DeltaRefused(FreshetError):
    """What another worker says cannot be read, or would do harm (not finite, out of bounds)."""
