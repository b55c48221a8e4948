"""Whatever two workers do in whatever order, the sums are those of the commits that were accepted."""

from __future__ import annotations

import asyncio
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_models.errors import Fenced, PositionMoved
from online_models.store import Ownership, Store

steps = st.lists(
    st.tuples(
        st.sampled_from("AB"), st.sampled_from(["claim", "commit", "replay", "reread"]), st.integers(1, 5)
    ),
    max_size=25,
)


@given(steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_last_claimer_adds_and_each_commit_once(
    redis_url: str, script: list[tuple[str, str, int]]
) -> None:
    asyncio.run(_play(redis_url, script))


async def _play(url: str, script: list[tuple[str, str, int]]) -> None:
    store = Store(url, uuid.uuid4().hex)
    held: dict[str, Ownership] = {}
    before: dict[str, Ownership] = {}
    owner, position, total = "", 0, 0
    counter = store.prefix(0) + "n"
    for worker, action, n in script:
        if action == "claim":
            held[worker] = await store.claim(0)
            before.pop(worker, None)
            owner = worker
            assert held[worker].next == (position or None)
        elif worker in held and action == "reread":
            try:
                assert await store.reread(held[worker]) == held[worker]
                assert worker == owner
            except Fenced:
                assert worker != owner
        elif worker in held and (action == "commit" or worker in before):
            own = held[worker] if action == "commit" else before[worker]
            try:
                made = await store.commit(own, [("INCRBY", counter, n)], (own.next or 0) + n)
            except Fenced:
                assert worker != owner
            except PositionMoved:
                assert action == "replay"
            else:
                assert worker == owner
                assert action == "commit"
                before[worker], held[worker] = own, made
                position, total = position + n, total + n
    (counted,) = await store.read([("GET", counter)])
    assert int(counted or 0) == total
    await store.close()
