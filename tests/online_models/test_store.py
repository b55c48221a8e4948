"""The commit protocol against a real Redis: all or nothing, once, and by the owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis import exceptions as redis_errors

import online_models.store as store_module
from online_models.errors import CommitInvalid, Fenced, PositionMoved, StoreRefused, StoreUnavailable
from online_models.store import Ownership, Store, Write, key
from tests.faults.proxy import CuttingProxy
from tests.support.redis_server import RedisServer


@pytest.fixture
async def store(redis_url: str, namespace: str) -> AsyncIterator[Store]:
    store = Store(redis_url, namespace)
    yield store
    await store.close()


def add(store: Store, n: int = 1, partition: int = 0) -> list[Write]:
    return [("HINCRBY", store.prefix(partition) + "c", "x", n)]


async def count(store: Store, partition: int = 0) -> int:
    (answer,) = await store.read([("HGET", store.prefix(partition) + "c", "x")])
    return int(answer or 0)


async def test_a_first_claim_finds_nothing_and_a_commit_moves_the_position(store: Store) -> None:
    own = await store.claim(0)
    assert (own.epoch, own.seq, own.next) == (1, 0, None)
    own = await store.commit(own, add(store, 2), 10)
    assert (own.epoch, own.seq, own.next) == (1, 1, 10)
    assert await count(store) == 2
    assert await store.reread(own) == own


async def test_a_new_claim_continues_where_the_last_owner_was(store: Store) -> None:
    first = await store.commit(await store.claim(0), add(store), 10)
    second = await store.claim(0)
    assert (second.epoch, second.seq, second.next) == (first.epoch + 1, 1, 10)


async def test_a_fenced_worker_writes_nothing(store: Store) -> None:
    old = await store.claim(0)
    await store.claim(0)
    with pytest.raises(Fenced):
        await store.commit(old, add(store), 10)
    with pytest.raises(Fenced):
        await store.reread(old)
    assert await count(store) == 0


async def test_a_commit_from_an_old_position_writes_nothing(store: Store) -> None:
    own = await store.claim(0)
    newer = await store.commit(own, add(store), 10)
    with pytest.raises(PositionMoved):
        await store.commit(own, add(store), 10)
    assert await store.reread(own) == newer
    assert await count(store) == 1


async def test_partitions_do_not_touch_each_other(store: Store) -> None:
    zero, one = await store.claim(0), await store.claim(1)
    await store.claim(1)
    await store.commit(zero, add(store), 5)
    with pytest.raises(Fenced):
        await store.commit(one, add(store, partition=1), 5)


async def test_a_commit_without_writes_still_counts_as_one(store: Store) -> None:
    own = await store.commit(await store.claim(0), [], 7)
    assert (await store.commit(own, [], 7)).seq == 2


async def test_values_of_every_kind_come_back_as_they_went(store: Store) -> None:
    at = store.prefix(0)
    raw = bytes(range(256))
    await store.commit(
        await store.claim(0),
        [
            ("SET", at + "s", raw, "PX", 60_000),
            ("HSET", at + "h", b"\x00", "é", "b", 2.5),
            ("ZADD", at + "z", 1.5, "m", -2, "n"),
            ("HINCRBYFLOAT", at + "f", "x", 0.1),
            ("SADD", at + "set", "a", "b"),
            ("RPUSH", at + "l", 1, 2, 3),
            ("LTRIM", at + "l", -2, -1),
        ],
        1,
    )
    commands = [
        ("GET", at + "s"),
        ("HGETALL", at + "h"),
        ("ZRANGE", at + "z", 0, -1),
        ("LRANGE", at + "l", 0, -1),
    ]
    assert await store.read(commands) == [
        raw,
        {b"\x00": "é".encode(), b"b": b"2.5"},
        [b"n", b"m"],
        [b"2", b"3"],
    ]
    assert await store.read([]) == []


async def test_a_key_of_another_type_is_found_before_the_first_write(store: Store) -> None:
    own = await store.commit(await store.claim(0), [("SADD", store.prefix(0) + "s", "a")], 1)
    with pytest.raises(CommitInvalid) as refused:
        await store.commit(own, [*add(store), ("HSET", store.prefix(0) + "s", "f", 1)], 2)
    assert refused.value.index == 1
    assert await count(store) == 0
    assert await store.reread(own) == own


@pytest.mark.parametrize(
    "write",
    [
        (),
        ("FLUSHALL",),
        ("HINCRBY", "{p}c", "x"),
        ("HINCRBY", "{p}c", "x", 1.0),
        ("HINCRBY", "{p}c", "x", True),
        ("HINCRBY", "{p}c", "x", 1 << 32),
        ("HINCRBYFLOAT", "{p}f", "x", float("nan")),
        ("HINCRBYFLOAT", "{p}f", "x", 1e200),
        ("ZINCRBY", "{p}z", float("inf"), "m"),
        ("ZADD", "{p}z", "1", "m"),
        ("ZADD", "{p}z", 1),
        ("HSET", "{p}h", "f"),
        ("SET", "{p}s", "v", "PX", 0),
        ("SET", "{p}s", "v", "NX", 1),
        ("SET", "{p}s", None),
        ("SET", "elsewhere", "v"),
        ("PEXPIRE", "{p}s", -1),
    ],
)
async def test_a_write_that_could_fail_is_refused_with_its_place(
    store: Store, write: tuple[object, ...]
) -> None:
    own = await store.claim(0)
    given = tuple(a.replace("{p}", store.prefix(0)) if isinstance(a, str) else a for a in write)
    with pytest.raises(CommitInvalid) as refused:
        await store.commit(own, [*add(store), given], 1)  # type: ignore[list-item]
    assert refused.value.index == 1
    assert await count(store) == 0


async def test_one_key_written_as_two_types_is_refused(store: Store) -> None:
    with pytest.raises(CommitInvalid):
        await store.commit(await store.claim(0), [*add(store), ("SADD", store.prefix(0) + "c", "x")], 1)


async def test_commands_and_batches_of_any_length_go_in_one_commit(store: Store) -> None:
    at = store.prefix(0)
    members = [arg for n in range(20_000) for arg in (n, f"m{n}")]
    writes: list[Write] = [("ZADD", at + "z", *members), ("SADD", at + "s", *map(str, range(9_000)))]
    writes += [("HINCRBY", at + "c", f"f{n}", n) for n in range(50_000)]
    own = await store.commit(await store.claim(0), writes, 1)
    sizes = await store.read([("ZCARD", at + "z"), ("SCARD", at + "s"), ("HLEN", at + "c")])
    assert sizes == [20_000, 9_000, 50_000]
    assert own.seq == 1


async def test_a_position_never_goes_back(store: Store) -> None:
    own = await store.commit(await store.claim(0), [], 10)
    with pytest.raises(ValueError, match="at least 10"):
        await store.commit(own, [], 9)


async def test_redis_forgetting_its_scripts_is_not_noticed(store: Store, redis_server: RedisServer) -> None:
    own = await store.commit(await store.claim(0), add(store), 1)
    redis_server.client().script_flush()
    await store.commit(own, add(store), 2)
    assert await count(store) == 2


async def test_connections_cut_before_the_answer_repeat_nothing(
    redis_server: RedisServer, namespace: str
) -> None:
    with CuttingProxy(redis_server.port, share=0.4) as proxy:
        store = Store(proxy.url, namespace, backoff_s=(0.001, 0.01))
        own = await store.claim(0)
        for n in range(150):
            own = await store.commit(own, add(store), n + 1)
            assert own.seq == n + 1
        assert await count(store) == 150
        assert proxy.cuts > 50
        await store.close()


async def test_a_commit_sent_to_a_frozen_redis_is_made_once_when_it_wakes(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis()
    late = asyncio.Event()
    store = Store(
        server.url, "t", timeout_s=0.1, on_wait=lambda _, waited_s, __: late.set() if waited_s > 0.5 else None
    )
    own = await store.commit(await store.claim(0), add(store), 1)
    server.pause()
    going = asyncio.ensure_future(store.commit(own, add(store), 2))
    await late.wait()  # what was sent lies before Redis, not carried out, its connection closed
    server.resume()
    assert (await going).seq == 2
    assert await count(store) == 2
    await store.close()


async def test_patience_has_an_end_and_the_outcome_shows_in_reread(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis(aof=True)
    store = Store(server.url, "t", timeout_s=0.1, patience_s=0.3)
    own = await store.commit(await store.claim(0), add(store), 1)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await store.commit(own, add(store), 2)
    with pytest.raises(StoreUnavailable):
        await store.read([("GET", "x")])
    server.start()
    assert await store.reread(own) == own
    await store.commit(own, add(store), 2)
    await store.close()


async def test_a_full_redis_makes_commits_wait_and_loses_nothing(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis(maxmemory=3 << 20)
    full = asyncio.Event()
    store = Store(server.url, "t", on_wait=lambda *_: full.set())
    own = await store.claim(0)

    async def fill() -> Ownership:
        mine = own
        for n in range(8):
            mine = await store.commit(mine, [("SET", store.prefix(0) + f"k{n}", b"x" * 500_000)], n)
        return mine

    filling = asyncio.ensure_future(fill())
    await asyncio.wait_for(full.wait(), 20)
    server.client().config_set("maxmemory", 0)
    assert (await filling).seq == 8
    await store.close()


async def test_a_claim_that_arrives_late_fences_nobody(store: Store, redis_server: RedisServer) -> None:
    own = await store.claim(0)
    client = redis_server.client()
    names = [store.prefix(0) + part for part in ("epoch", "seq", "next", "commit")]
    script = (Path(store_module.__file__).parent / "store_claim.lua").read_text()
    assert client.eval(script, 4, *names, "", "a claim read before ours") is None
    assert (await store.commit(own, add(store), 1)).seq == 1


async def test_a_redis_that_may_evict_is_refused(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis()
    server.client().config_set("maxmemory-policy", "allkeys-lru")
    store = Store(server.url, "t")
    with pytest.raises(StoreRefused, match="maxmemory-policy allkeys-lru"):
        await store.check()
    await store.close()


async def test_the_partition_count_of_a_namespace_is_fixed(store: Store) -> None:
    await store.check(partitions=4)
    await store.check(partitions=4)
    with pytest.raises(StoreRefused, match="freshet rebuild"):
        await store.check(partitions=8)


async def test_interning_is_dense_in_order_and_idempotent(store: Store) -> None:
    assert await store.intern(["a", "b", "a", "c"]) == [0, 1, 0, 2]
    assert await store.intern(["d", "b"]) == [3, 1]
    assert await store.intern([]) == []
    assert await store.interned() == ["a", "b", "c", "d"]


async def test_workers_that_intern_at_once_agree(redis_url: str, namespace: str) -> None:
    stores = [Store(redis_url, namespace) for _ in range(3)]
    names = [f"item-{n}" for n in range(5_000)]
    numbers = await asyncio.gather(
        *(store.intern(names[::step]) for store, step in zip(stores, (1, -1, 3), strict=True))
    )
    known = dict(zip(names, numbers[0], strict=True))
    assert sorted(known.values()) == list(range(5_000))
    assert [known[name] for name in names[::-1]] == numbers[1]
    assert await stores[0].interned() == sorted(names, key=known.__getitem__)
    for store in stores:
        await store.close()


async def test_an_answer_that_will_not_change_is_not_waited_for(store: Store) -> None:
    await store.commit(await store.claim(0), add(store), 1)
    with pytest.raises(redis_errors.ResponseError, match="WRONGTYPE"):
        await store.read([("GET", store.prefix(0) + "c")])


@pytest.mark.parametrize(
    "bad", [{"namespace": ""}, {"namespace": "a:b"}, {"timeout_s": 0}, {"connections": 0}]
)
def test_bad_arguments_are_refused_at_construction(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Store("redis://127.0.0.1:1/0", **{"namespace": "t", **bad})  # type: ignore[arg-type]


def test_keys_of_a_partition_share_a_hash_tag() -> None:
    assert key("shop", 3, "item", 7) == "shop:{3}:item:7"


async def test_many_reads_in_one_script_answer_as_single_reads_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_READS", 2)
    prefix = store.prefix(0)
    writes: list[Write] = [("SET", f"{prefix}a", b"\x00raw"), ("HSET", f"{prefix}h", "f", "1", "g", "2")]
    await store.commit(await store.claim(0), writes, 1)
    wanted = [
        ("GET", f"{prefix}a"),
        ("HGETALL", f"{prefix}h"),
        ("GET", f"{prefix}none"),
        ("HGETALL", f"{prefix}no"),
    ]
    many = await store.read_many(wanted)
    assert many == [b"\x00raw", [b"f", b"1", b"g", b"2"], None, []]
    text, fields, *nothing = await store.read(wanted)
    assert (text, fields) == (many[0], dict(zip(many[1][::2], many[1][1::2], strict=True)))
    assert nothing == [None, {}]


async def test_sums_of_one_key_go_together_and_count_as_one_by_one(store: Store) -> None:
    at = store.prefix(0)
    long = ("HSET", at + "h", *(arg for n in range(3_000) for arg in (f"f{n}", n)))
    writes: list[Write] = [
        ("HINCRBY", at + "c", "x", 1), ("HINCRBY", at + "c", "y", 2), ("HINCRBY", at + "c", "x", 3), long,
        ("HINCRBY", at + "c", "x", 4), ("HINCRBYFLOAT", at + "d", "x", 0.5), ("HINCRBYFLOAT", at + "d", "x", 0.25),
        ("ZINCRBY", at + "z", 1.5, "m"), ("ZINCRBY", at + "z", 2.5, "n"),
    ]  # fmt: skip
    await store.commit(await store.claim(0), writes, 1)
    counts, sums, ranks, size = await store.read(
        [("HGETALL", at + "c"), ("HGETALL", at + "d"), ("ZSCORE", at + "z", "n"), ("HLEN", at + "h")]
    )
    assert (counts, sums, float(ranks), size) == ({b"x": b"8", b"y": b"2"}, {b"x": b"0.75"}, 2.5, 3_000)


async def test_a_value_takes_the_place_of_whatever_its_key_held(store: Store) -> None:
    own = await store.commit(await store.claim(0), [("HSET", store.prefix(0) + "k", "f", "1")], 1)
    await store.commit(own, [("SET", store.prefix(0) + "k", "v")], 2)
    assert await store.read([("GET", store.prefix(0) + "k")]) == [b"v"]


async def test_what_uvloop_says_of_a_cut_connection_is_no_fault_of_the_command(store: Store) -> None:
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError(
                "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
            )
        return "done"

    assert await store._patiently("anything", attempt) == "done"
    assert tries == 2
