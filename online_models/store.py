"""Redis: state and the place in the log, committed together; the one file that talks to it.

A worker that owns a partition holds an `Ownership`: what it last read or wrote of the partition's epoch, sequence,
position and commit token. `Store.commit` sends the writes of a micro-batch and the next position as ONE Lua script,
which compares all four first and otherwise writes nothing. So a worker that was stalled while another took over can
not add a thing, and after a cut connection the token says whether the commit was made.

    store = Store("redis://127.0.0.1:6379/0", "shop")
    await store.check(partitions=32)
    own = await store.claim(3)                          # once per assignment; own.next is where to read on
    own = await store.commit(own, [("HINCRBY", store.prefix(3) + "item:7", "clicks", 1)], next_position=42)

Keys of partition ``p`` begin with ``<namespace>:{p}:``; the braces keep them on one node of a Redis Cluster. After a
rebuild they are those of a generation, ``<namespace>:g1:{p}:``; ``<namespace>:generation`` says which one is in force.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redis import exceptions as errors

from online_models.errors import (
    CommitInvalid,
    Fenced,
    NamesLost,
    PositionMoved,
    StoreRefused,
)
from online_models.store_client import RedisAddress, connect, everywhere
from online_models.store_line import Lines
from online_models.store_patience import UNKNOWN, Patient
from online_models.store_report import by_node
from online_models.store_writes import Arg, Write, chunks, lay_out

__all__ = ["Arg", "Ownership", "Store", "Write", "key"]

_HERE = Path(__file__).parent
_DONE, _REFUSED, _WRONG_TYPE = 1, 0, 2
MOST_READS = 2_000
"""Keys read by one script; it holds up Redis for a millisecond or two."""


def key(namespace: str, partition: int, *parts: object) -> str:
    """The Redis key of something of one partition.

    >>> key("shop", 3, "item", 7)
    'shop:{3}:item:7'
    """
    return ":".join([namespace, f"{{{partition}}}", *map(str, parts)])


@dataclass(frozen=True, slots=True)
class Ownership:
    """One worker's hold on one partition, as of its last claim or commit."""

    partition: int
    epoch: int  # grows by one with each claim
    seq: int  # grows by one with each commit
    next: int | None  # position of the first record not yet folded in; None before the first commit
    token: str  # names the claim or commit that came last
    generation: int = 0  # of the keys it was read from


class Store(Patient):
    """The state of one deployment in Redis.

    Args:
        url: ``redis://host:port/db`` (``rediss://`` for TLS), or an address with Sentinels or a cluster.
        namespace: prefix of every key.
        timeout_s: how long one command may take before its outcome is unknown.
        patience_s: how long an operation is tried before `StoreUnavailable`; None waits as long as it takes.
        on_wait: called with (operation, seconds waited so far, the error) before each new try.
        connections: most connections at once.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        url: str | RedisAddress,
        namespace: str,
        *,
        timeout_s: float = 5.0,
        patience_s: float | None = 60.0,
        backoff_s: tuple[float, float] = (0.02, 1.0),
        on_wait: Callable[[str, float, Exception], None] | None = None,
        connections: int = 16,
    ) -> None:
        if not namespace or ":" in namespace or "{" in namespace:
            raise ValueError(f"namespace: not empty, without ':' and '{{', not {namespace!r}")
        if timeout_s <= 0 or connections < 1:
            raise ValueError("timeout_s: above 0; connections: at least 1")
        super().__init__(patience_s, backoff_s, on_wait)
        self.namespace = namespace
        self.generation = 0
        self._partitions: int | None = None  # as the last check was told
        address = RedisAddress(url) if isinstance(url, str) else url
        self._redis = connect(address, timeout_s=timeout_s, connections=connections)
        clustered = address.mode == "cluster"
        self._lines = None if clustered else Lines(self._redis.connection_pool, timeout_s)
        self._commit = self._redis.register_script((_HERE / "commit.lua").read_text())
        self._claim = self._redis.register_script((_HERE / "store_claim.lua").read_text())
        self._read = self._redis.register_script((_HERE / "store_read.lua").read_text())
        self._intern = self._redis.register_script((_HERE / "store_intern.lua").read_text())

    @property
    def redis(self) -> Any:
        """The client below, for what an operator does."""
        return self._redis

    def root(self, generation: int) -> str:
        """What the keys of a generation begin with, colon included."""
        return f"{self.namespace}:g{generation}:" if generation else f"{self.namespace}:"

    def prefix(self, partition: int, generation: int | None = None) -> str:
        """What the keys of a partition begin with, colon included; of the generation in force when none is given."""
        return f"{self.root(self.generation if generation is None else generation)}{{{partition}}}:"

    async def close(self) -> None:
        """Close all connections."""
        if self._lines is not None:
            await self._lines.close()
        await self._redis.aclose()

    async def _run(self, script: Any, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """A script's answer; those that are asked for at once share a round trip where there is one server."""
        if self._lines is not None:
            with suppress(errors.NoScriptError):
                return await self._lines.ask("EVALSHA", script.sha, len(keys), *keys, *args)
        return await script(keys=keys, args=args)

    # ------------------------------------------------------------------ ownership

    async def claim(self, partition: int) -> Ownership:
        """Take a partition over: whoever held it before can commit no more. Once per assignment."""
        token, generation = uuid.uuid4().hex, self.generation

        async def attempt() -> Ownership:
            while True:
                found = await self._held(partition, generation)
                guard = self._guard(partition, generation)
                answer: Any = await self._claim(keys=guard, args=[found.token, token])
                if answer is not None:
                    epoch, seq, next_ = int(answer[0]), int(answer[1]), _position(answer[2] or None)
                    return Ownership(partition, epoch, seq, next_, token, generation)

        return await self._patiently("claim", attempt)

    async def reread(self, own: Ownership) -> Ownership:
        """What is stored now, for an owner that was told `PositionMoved`; does not claim.

        Raises:
            Fenced: another worker has claimed the partition since.
        """

        async def attempt() -> Ownership:
            found = await self._held(own.partition, own.generation)
            if found.epoch != own.epoch:
                raise Fenced(f"partition {own.partition}: epoch {found.epoch}, ours was {own.epoch}")
            return found

        return await self._patiently("reread", attempt)

    async def commit(
        self,
        own: Ownership,
        writes: Sequence[Write],
        next_position: int | None,
        *,
        patience_s: float | None = None,
    ) -> Ownership:
        """Make all writes and move the position, once, or nothing at all.

        Args:
            own: what the last claim or commit of this partition gave.
            writes: commands as tuples; every key begins with ``prefix(own.partition)``.
            next_position: position of the first record that is not in these writes.
            patience_s: in place of the store's.

        Raises:
            Fenced: another worker owns the partition; drop all memory of it and do not claim again by yourself.
            PositionMoved: position or sequence is not what this worker read; drop, `reread`, seek.
            CommitInvalid: one of the writes could fail; nothing was written.
            StoreUnavailable: patience ran out; whether the commit was made shows in `reread`.
        """
        if next_position is not None and (next_position < 0 or (own.next or 0) > next_position):
            raise ValueError(f"next_position: at least {own.next or 0}, not {next_position}")
        mine = replace(own, seq=own.seq + 1, next=next_position, token=uuid.uuid4().hex)
        flat, sources = lay_out(writes, self.prefix(own.partition, own.generation))
        nexts = ["" if n is None else n for n in (own.next, next_position)]
        args = [own.epoch, own.seq, nexts[0], own.token, mine.seq, nexts[1], mine.token, *flat]
        guard = self._guard(own.partition, own.generation)
        in_doubt = False

        async def attempt() -> Ownership:
            nonlocal in_doubt
            if in_doubt and (await self._held(own.partition, own.generation)).token == mine.token:
                return mine
            try:
                answer: Any = await self._run(self._commit, guard, args)
            except UNKNOWN:
                in_doubt = True  # it may have been made, or may be made yet
                raise
            return _outcome(answer, own, mine, sources)

        return await self._patiently("commit", attempt, patience_s)

    async def _held(self, partition: int, generation: int) -> Ownership:
        held: list[Any] = await self._redis.mget(self._guard(partition, generation))
        epoch, seq, next_, token = held
        return Ownership(
            partition, int(epoch or 0), int(seq or 0), _position(next_), (token or b"").decode(), generation
        )

    def _guard(self, partition: int, generation: int) -> list[str]:
        return [f"{self.prefix(partition, generation)}{part}" for part in ("epoch", "seq", "next", "commit")]

    # ------------------------------------------------------------------ reads

    async def read(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        """The answers to several reads in one round trip: ``[("GET", key), ("HGETALL", key), ...]``.

        Answers are bytes, lists, sets and dicts of them, as redis-py gives them; None where there is nothing.
        """
        if not commands:
            return []

        async def attempt() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(await pipe.execute())

        return await self._patiently("read", attempt)

    async def read_many(self, commands: Sequence[tuple[str, str]]) -> list[Any]:
        """The answers to many ``("GET" or "HGETALL", key)`` of ONE partition; a hash as a flat list."""
        answers: list[Any] = []
        for at in range(0, len(commands), MOST_READS):
            part = commands[at : at + MOST_READS]

            async def attempt(part: Sequence[tuple[str, str]] = part) -> list[Any]:
                keys, names = [key for _, key in part], [name for name, _ in part]
                return list(await self._run(self._read, keys, names))

            answers.extend(await self._patiently("read", attempt))
        return answers

    # ------------------------------------------------------------------ logs of the whole namespace

    async def append(self, name: str, value: bytes) -> None:
        """Add to a list that only grows; after a cut connection it may hold the value twice."""

        async def attempt() -> None:
            await self._redis.execute_command("RPUSH", f"{self.namespace}:{name}", value)

        await self._patiently("append", attempt)

    async def appended(self, name: str, begin: int = 0) -> list[bytes]:
        """What such a list holds from a place on, in order."""

        async def attempt() -> list[bytes]:
            return list(await self._redis.execute_command("LRANGE", f"{self.namespace}:{name}", begin, -1))

        return await self._patiently("appended", attempt)

    # ------------------------------------------------------------------ start

    async def check(self, partitions: int | None = None) -> None:
        """Refuse a Redis that may evict, and a partition count other than the namespace's.

        Raises:
            StoreRefused: with what is wrong and how to mend it.
        """

        async def attempt() -> None:
            nodes = by_node(await self._redis.info("memory", **everywhere(self._redis)))
            for policy in (node.get("maxmemory_policy", "noeviction") for node in nodes):
                if policy != "noeviction":
                    raise StoreRefused(
                        f"Redis may evict state (maxmemory-policy {policy}):  "
                        "redis-cli config set maxmemory-policy noeviction"
                    )

        await self._patiently("check", attempt)
        self._partitions = partitions
        await self.follow()

    async def follow(self) -> bool:
        """Go over to the generation that was swapped in last; whether it is another than before.

        Raises:
            StoreRefused: it was built with another number of partitions than `check` was told; we stay where we were.
        """

        async def attempt() -> bool:
            newest = int(await self._redis.get(f"{self.namespace}:generation") or 0)
            if self._partitions is not None:
                await self._check_partitions(self._partitions, newest)
            before, self.generation = self.generation, newest
            return newest != before

        return await self._patiently("follow", attempt)

    async def lineage(self) -> int:
        """The generation that the models in force were learnt anew with; 0 before any rebuild."""

        async def attempt() -> int:
            return int(await self._redis.get(f"{self.namespace}:lineage") or 0)

        return await self._patiently("lineage", attempt)

    async def _check_partitions(self, partitions: int, generation: int) -> None:
        name = f"{self.root(generation)}partitions"
        stored = int(await self._redis.get(name) or 0)
        if not stored:
            await self._redis.set(name, partitions, nx=True)
            stored = int(await self._redis.get(name) or 0)
        if stored != partitions:
            raise StoreRefused(
                f"namespace {self.namespace!r} was built with {stored} partitions and FRESHET_PARTITIONS is "
                f"{partitions}: users would change owners. Set FRESHET_PARTITIONS={stored}; where the topic itself has "
                f"{partitions} now, build the state anew from the log:  freshet rebuild"
            )

    # ------------------------------------------------------------------ interning

    async def intern(self, ids: Sequence[str], known: int = 0) -> list[int]:
        """Dense integers for item ids, in their order: known ones keep theirs, new ones get the next. Idempotent.

        Args:
            known: how many names the caller has seen there already.

        Raises:
            NamesLost: Redis holds fewer than ``known``; a number given now could stand for two items.
        """
        numbers: list[int] = []
        for part in chunks(ids, 2_000):

            async def attempt(part: Sequence[str] = part) -> list[int]:
                answer = await self._run(self._intern, [f"{self.namespace}:items"], [known, *part])
                if answer is None:
                    raise NamesLost(f"Redis holds fewer than the {known} item names that were there before")
                return list(answer)

            numbers.extend(await self._patiently("intern", attempt))
        return numbers

    async def interned(self) -> list[str]:
        """All interned ids; the place in the list is the integer."""

        async def attempt() -> list[str]:
            numbers: dict[int, str] = {}
            async for name, number in self._redis.hscan_iter(f"{self.namespace}:items", count=2_000):
                numbers[int(number)] = name.decode()
            # what was added while we read may be there in part: the unbroken beginning is right
            return [numbers[k] for k in range(len(numbers)) if k in numbers][: _unbroken(numbers)]

        return await self._patiently("interned", attempt)

    async def restore_names(self, names: Sequence[str]) -> bool:
        """Give Redis back the names it has lost; False when a number stands for another item by now."""
        kept = {name: number for number, name in enumerate(names) if name}

        async def attempt() -> bool:
            async with self._redis.pipeline(transaction=False) as pipe:
                for name, number in kept.items():
                    pipe.hsetnx(f"{self.namespace}:items", name, number)
                await pipe.execute()
            found = dict(enumerate(await self.interned()))
            twice = len(found) < await self._redis.hlen(f"{self.namespace}:items")
            return not twice and all(found.get(number) == name for name, number in kept.items())

        return await self._patiently("restore_names", attempt)


def _outcome(answer: Any, own: Ownership, mine: Ownership, sources: list[int]) -> Ownership:
    """What the script's answer means."""
    if answer == _DONE:
        return mine
    if answer[0] == _WRONG_TYPE:
        index = sources[answer[1] - 1]
        raise CommitInvalid(f"write {index}: its key holds another type", index)
    epoch, seq, next_, token = (part.decode() for part in answer[1:])
    if token == mine.token:
        return mine  # an earlier try of this very commit reached Redis after all
    if int(epoch) != own.epoch:
        raise Fenced(f"partition {own.partition}: epoch {epoch}, ours was {own.epoch}")
    raise PositionMoved(
        f"partition {own.partition}: stored seq {seq}, next {next_ or None}; ours {own.seq}, {own.next}"
    )


def _position(stored: bytes | None) -> int | None:
    return None if stored is None else int(stored)


def _unbroken(numbers: dict[int, str]) -> int:
    return next((k for k in range(len(numbers)) if k not in numbers), len(numbers))
