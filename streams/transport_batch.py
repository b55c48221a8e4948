"""What the transport hands to an agent, what it may be told, and what it tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Record(NamedTuple):
    """One record of the log, as bytes."""

    offset: int
    timestamp: int  # ms since the epoch, the record's own
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of one partition's log: every record from ``from_position`` up to, not with, ``next_position``.

    Positions, not offsets: transaction markers and compaction leave holes, so the first record may come after
    ``from_position``.

    >>> Batch("shop.events", 3, 1, 10, 12, (Record(10, 0, b"u", b"{}"), Record(11, 0, b"u", b"{}"))).behind(12)
    0
    """

    topic: str
    partition: int
    generation: int  # of the consumer group, when it was fetched
    from_position: int
    next_position: int
    records: tuple[Record, ...]
    log_end: int = 0  # the partition's end when it was fetched

    def behind(self, log_end: int | None = None) -> int:
        """How many positions lie between this batch's end and the end of the log; 0 at its end."""
        return max(0, (self.log_end if log_end is None else log_end) - self.next_position)


@dataclass(frozen=True, slots=True)
class LostRange:
    """The log no longer holds the position to read on from; the partition is stopped."""

    topic: str
    partition: int
    position: int
    log_start: int
    log_end: int


@dataclass(frozen=True, slots=True)
class Options:
    """How the transport reads.

    Args:
        fetch_max_wait_ms: how long the broker may hold an empty fetch that leaves a partition out. It bounds the
            latency of a partition whose data comes while a fetch of others is under way; 1,500 in Faust's own driver.
            A busy process rests between two fetches (`streams.transport_pace`).
        fetch_idle_wait_ms: the same of one that leaves none out, where that is longer: nothing waits for its end, save
            on librdkafka's mock broker, which ends a fetch only then, whatever comes meanwhile.
        max_batch_records: most records of one batch.
        max_batch_bytes: a batch is closed once its keys and values reach this size.
        max_partition_fetch_bytes: most bytes of one partition in one fetch; what waits in memory per partition.
        client_rack: prefer replicas of this rack.
    """

    fetch_max_wait_ms: int = 10
    fetch_idle_wait_ms: int = 100
    max_batch_records: int = 1_000
    max_batch_bytes: int = 1 << 20
    max_partition_fetch_bytes: int = 1 << 20
    client_rack: str | None = None

    def __post_init__(self) -> None:
        for name in (
            "fetch_max_wait_ms",
            "fetch_idle_wait_ms",
            "max_batch_records",
            "max_batch_bytes",
            "max_partition_fetch_bytes",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1, not {getattr(self, name)}")


BEGINNING = -2
"""As a position: the first one the log still holds."""
UNKNOWN = -1
"""As a position: not known now."""

PositionFor = Callable[[str, int, int], Awaitable[int | None]]
Reached = Callable[[str, int, int], int | None]


@dataclass(slots=True)
class Hooks:
    """What the application tells the transport, and is told. All are called on the application's loop.

    Args:
        position_for: (topic, partition, generation) -> where to read on; `BEGINNING` for the log's; None where Kafka's
            committed position counts. Called once per partition and assignment; tried again when it raises.
        reached: (topic, partition, generation) -> how far it is folded in; `UNKNOWN` when it is not ours any more; None
            where Kafka's position counts. Asked after each batch: where it is not the batch's end (the agent failed),
            the partition is read again from there.
        on_revoked: partitions that are no longer ours, as (topic, partition).
        let_go: awaited after ``on_revoked``, before others may own them: what is on its way out is waited for.
        on_lost_range: the position is gone from the log; the partition is stopped until a seek or an assignment.
        on_waiting: (topic, partition, the error) when `position_for` raised and is tried again.
    """

    position_for: PositionFor | None = None
    reached: Reached | None = None
    on_revoked: Callable[[Iterable[tuple[str, int]]], None] | None = None
    let_go: Callable[[], Awaitable[None]] | None = None
    on_lost_range: Callable[[LostRange], None] | None = None
    on_waiting: Callable[[str, int, Exception], None] | None = None
