"""The store on a Redis Cluster, behind Sentinels, and over TLS as a user with few rights: the same promises hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from online_models import generations
from online_models.errors import Fenced, StoreRefused, StoreUnavailable
from online_models.store import Store
from online_models.store_client import RedisAddress
from online_models.store_report import report
from streams import build, settings
from streams.embedded import EmbeddedUnavailable
from tests.support.redis_setups import RedisSetup, client, cluster, encrypted, sentinel

RIGHTS = ("~shop:*", "+@read", "+@write", "+@scripting", "+@connection", "-@dangerous", "+info", "+time")
"""What docs/deployment.md says a worker's user needs."""


@pytest.fixture
def setup() -> Iterator[RedisSetup]:
    try:
        with RedisSetup() as setup:
            yield setup
    except EmbeddedUnavailable as missing:
        pytest.skip(f"real Redis: {missing}")


async def _folds(store: Store) -> None:
    """Everything a worker does with a store, on five partitions."""
    await store.check(5)
    for partition in range(5):
        own = await store.claim(partition)
        own = await store.commit(own, [("HINCRBY", store.prefix(partition) + "c", "x", partition)], 10)
        late = own
        await store.claim(partition)
        with pytest.raises(Fenced):
            await store.commit(late, [("HINCRBY", store.prefix(partition) + "c", "x", 1)], 11)
    counts = await store.read([("HGET", store.prefix(p) + "c", "x") for p in range(5)])
    assert counts == [b"0", b"1", b"2", b"3", b"4"]
    found = await store.read_many([("HGETALL", store.prefix(3) + "c"), ("GET", store.prefix(3) + "next")])
    assert found == [[b"x", b"3"], b"10"]
    assert await store.intern(["a", "b", "a"]) == [0, 1, 0]
    assert await store.interned() == ["a", "b"]


async def _rebuilds(store: Store) -> None:
    """A generation beside the one in force, and what was in force before it, removed."""
    assert await generations.begin(store, 5) == 1
    for partition in range(5):
        own = await store.claim(partition)
        await store.commit(own, [("HINCRBY", store.prefix(partition) + "c", "x", 7)], 12)
    await generations.swap(store)
    assert await generations.clean(store) > 5
    assert await store.read([("HGET", store.prefix(p) + "c", "x") for p in range(5)]) == [b"7"] * 5


@pytest.fixture
async def clustered(setup: RedisSetup) -> AsyncIterator[tuple[Store, RedisAddress]]:
    address = RedisAddress(cluster(setup), "cluster")
    store = Store(address, "shop")
    yield store, address
    await store.close()


async def test_on_a_cluster_a_partition_commits_as_a_whole_and_partitions_live_on_several_nodes(
    clustered: tuple[Store, RedisAddress],
) -> None:
    store, address = clustered
    await _folds(store)
    held = []
    for _, port in address.hosts:
        with client(port) as node:
            held.append({key.split("}")[0] for key in node.keys("shop:{*")})
    assert sum(bool(partitions) for partitions in held) > 1
    assert not (held[0] & held[1] or held[1] & held[2] or held[0] & held[2])
    await _rebuilds(store)
    told = await report(address, "shop")
    assert (told.policy, told.aof, told.partitions) == ("noeviction", True, 5)


async def test_one_node_of_a_cluster_that_may_evict_is_enough_to_refuse_it(
    clustered: tuple[Store, RedisAddress],
) -> None:
    store, address = clustered
    with client(address.hosts[2][1]) as node:
        node.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreRefused, match="allkeys-lru"):
        await store.check(5)
    assert (await report(address, "shop")).policy == "allkeys-lru"


async def test_when_the_sentinels_name_another_master_the_store_goes_on_there(setup: RedisSetup) -> None:
    url, master = sentinel(setup)
    waits: list[str] = []
    store = Store(
        RedisAddress(url, "sentinel"), "shop", timeout_s=2.0, patience_s=60.0,
        on_wait=lambda name, waited, error: waits.append(name),
    )  # fmt: skip
    await _folds(store)
    own = await store.claim(0)
    own = await store.commit(own, [("HINCRBY", store.prefix(0) + "c", "x", 1)], 20)
    await store.redis.wait(1, 5_000)  # the replica has it
    master.kill()
    own = await store.commit(own, [("HINCRBY", store.prefix(0) + "c", "x", 1)], 30)
    assert (own.next, await store.read([("HGET", store.prefix(0) + "c", "x")])) == (30, [b"2"])
    assert waits
    await store.close()


async def test_over_tls_a_user_with_few_rights_can_do_all_that_is_needed_and_nothing_else(
    setup: RedisSetup,
) -> None:
    url, ca = encrypted(setup, *RIGHTS)
    given = settings.load(redis_url=url, redis_ssl_ca=str(ca), namespace="shop")
    store = build.store(given, patience_s=5.0)
    await _folds(store)
    await _rebuilds(store)
    assert (await report(build.redis_address(given), "shop")).partitions == 5
    with pytest.raises(Exception, match="permission"):
        await store.redis.flushall()
    await store.close()


@pytest.mark.parametrize(("password", "with_ca"), [("wrong", True), ("right", False)])
async def test_a_wrong_password_and_an_unknown_certificate_are_told(
    setup: RedisSetup, password: str, with_ca: bool
) -> None:
    url, ca = encrypted(setup, *RIGHTS)
    address = RedisAddress(url.replace("right", password), ca=str(ca) if with_ca else "")
    with pytest.raises(StoreUnavailable, match=r"invalid username-password|CERTIFICATE_VERIFY_FAILED"):
        await report(address, "shop")


def test_several_hosts_a_user_and_an_odd_password_are_read_from_the_url(tmp_path: Path) -> None:
    address = RedisAddress("rediss://ann:p%40ss@a:1,b,c:3/2", "sentinel", ca=str(tmp_path))
    assert address.hosts == [("a", 1), ("b", 26_379), ("c", 3)]
    assert address.credentials() == {
        "username": "ann", "password": "p@ss", "db": 2, "ssl": True, "ssl_ca_certs": str(tmp_path),
    }  # fmt: skip


async def test_names_that_redis_has_lost_are_given_back_before_a_new_one_gets_a_number(
    redis_url: str, namespace: str
) -> None:
    from online_models.interning import Interner
    from streams.names import intern

    store, names = Store(redis_url, namespace), Interner()
    names.add(list(zip("abc", await store.intern(list("abc")), strict=True)))
    await store.redis.delete(f"{namespace}:items")
    assert await intern(store, names, ["d"]) == [3]
    assert await store.interned() == list("abcd")
    await store.redis.delete(f"{namespace}:items")
    await asyncio.gather(store.intern(["z"]))  # somebody who knew of nothing
    with pytest.raises(StoreRefused, match="no longer fits"):
        await intern(store, names, ["e"])
    await store.close()
