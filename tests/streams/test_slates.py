"""Slates owed: newest first, one a user, within the budget, and what is skipped is counted."""

import asyncio

import pytest

from streams.slates import CROWDED, CpuBudget, Owed, SlateQueue


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def queue(cost=0.0, share=1.0, patience_s=2.0, fail=(), behind=True, at_once=True, answers=None):
    clock, spent, served, settled = Clock(), Clock(), [], []
    answers = [] if answers is None else answers

    async def serve(owed):
        clock.now += cost
        spent.now += cost
        served.append(owed.user_id)
        if owed.user_id in fail:
            return None
        answer = asyncio.get_running_loop().create_future()
        answers.append(answer)
        if at_once:
            answer.set_result("in the log")
        return answer

    q = SlateQueue(
        serve, lambda owed: settled.append(owed.user_id), clock,
        budget=CpuBudget(share, burst_s=0.1), patience_s=patience_s, behind=lambda: behind,
        cpu=spent,
    )  # fmt: skip
    return q, clock, served, settled


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - turns of the loop, not time, are waited for
            await asyncio.sleep(0)


async def run_until(q, condition):
    task = asyncio.create_task(q.run())
    try:
        await until(condition)
    finally:
        task.cancel()


async def test_a_worker_that_keeps_up_serves_clicks_in_order():
    q, _, served, _ = queue(behind=False)
    for user in "abc":
        q.owe(Owed(0, user, "e", 1, 1))
    await run_until(q, lambda: len(served) == 3)
    assert served == ["a", "b", "c"]


async def test_while_events_wait_the_newest_click_is_served_first():
    q, _, served, _ = queue()
    for user in "abc":
        q.owe(Owed(0, user, "e", 1, 1))
    await run_until(q, lambda: len(served) == 3)
    assert served == ["c", "b", "a"]


async def test_two_clicks_of_one_user_are_one_slate():
    q, _, served, _ = queue()
    q.owe(Owed(0, "a", "e1", 1, 1))
    q.owe(Owed(0, "a", "e2", 2, 2))
    await run_until(q, lambda: not len(q) and served)
    assert served == ["a"]
    assert q.stats["coalesced"] == 1


async def test_every_user_is_settled_once_served_failed_or_skipped():
    q, clock, _, settled = queue(cost=0.3, share=0.1, patience_s=1.0, fail=("c",))
    for user in "abc":
        q.owe(Owed(0, user, "e", 1, 1))

    task = asyncio.create_task(q.run())
    await until(lambda: "c" in settled)
    clock.now += 1.5  # the budget is spent; the others wait past their patience
    q.budget.tokens = -1.0
    await until(lambda: len(settled) == 3)
    task.cancel()
    assert sorted(settled) == ["a", "b", "c"]
    assert q.stats["failed"] == 1
    assert q.stats["skipped"] + q.stats["served"] == 2


async def test_while_events_wait_a_late_slate_is_skipped_though_there_is_cpu_for_it():
    q, clock, served, settled = queue(patience_s=0.25)
    q.owe(Owed(0, "late", "e", 1, 1))
    clock.now += 0.3
    q.owe(Owed(0, "new", "e", 1, 1))
    await run_until(q, lambda: len(settled) == 2)
    assert served == ["new"]
    assert q.stats["skipped"] == 1


async def test_a_worker_that_has_caught_up_makes_late_slates_too():
    q, clock, served, _ = queue(patience_s=0.25, behind=False)
    q.owe(Owed(0, "late", "e", 1, 1))
    clock.now += 0.3
    await run_until(q, lambda: served)
    assert served == ["late"]


async def test_a_lost_partition_takes_its_debts_along():
    q, _, served, settled = queue()
    q.owe(Owed(0, "a", "e", 1, 1))
    q.owe(Owed(1, "b", "e", 1, 1))
    q.forget(0)
    await run_until(q, lambda: settled)
    assert served == ["b"]


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="share"):
        CpuBudget(0.0)


async def test_a_worker_that_keeps_up_makes_every_slate_whatever_the_budget():
    q, _, served, _ = queue(cost=1.0, share=0.01, behind=False)
    for k in range(20):
        q.owe(Owed(0, f"u{k}", "e", 1, 1))
    await run_until(q, lambda: len(served) == 20)
    assert q.stats["skipped"] == 0


@pytest.mark.parametrize("behind", [True, False])
async def test_after_a_few_milliseconds_of_slates_the_fold_goes_on(behind):
    q, _, served, _ = queue(cost=0.004, behind=behind)
    for k in range(20):
        q.owe(Owed(0, f"u{k}", "e", 1, 1))
    task, seen = asyncio.create_task(q.run()), []
    while len(served) < 20:
        seen.append(len(served))
        await asyncio.sleep(0)
    task.cancel()
    assert {3, 6, 9} <= set(seen)


async def test_a_debt_is_settled_when_its_slate_is_acknowledged_and_not_before():
    answers = []
    q, _, served, settled = queue(at_once=False, answers=answers)
    q.owe(Owed(0, "a", "e", 1, 1))
    task = asyncio.create_task(q.run())
    await until(lambda: served == ["a"] and not len(q))
    assert settled == [], "a worker that died now would leave the user without a slate"
    answers[0].set_result(None)
    await until(lambda: settled == ["a"])
    task.cancel()


async def test_a_slate_the_log_did_not_take_is_made_again():
    answers = []
    q, _, served, settled = queue(at_once=False, answers=answers)
    q.owe(Owed(0, "a", "e", 1, 1))
    task = asyncio.create_task(q.run())
    await until(lambda: len(answers) == 1)
    answers[0].set_exception(TimeoutError())
    await until(lambda: len(answers) == 2)
    assert (served, settled, q.stats["unacknowledged"]) == (["a", "a"], [], 1)
    answers[1].set_result(None)
    await until(lambda: settled == ["a"])
    task.cancel()


async def test_a_partition_that_is_gone_is_owed_nothing_until_it_is_ours_again():
    q, _, served, _ = queue()
    q.owe(Owed(0, "before", "e", 1, 1))
    q.forget(0)
    q.owe(Owed(0, "late commit", "e", 1, 1))
    q.owe(Owed(1, "other", "e", 1, 1))
    assert len(q) == 1
    q.welcome(0)
    q.owe(Owed(0, "again", "e", 1, 1))
    await run_until(q, lambda: len(served) == 2)
    assert served == ["again", "other"]


async def test_who_lets_partitions_go_waits_for_the_slate_that_is_being_made():
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def serve(owed):
        begun.set()
        await may_end.wait()

    q = SlateQueue(serve, lambda owed: None, Clock(), budget=CpuBudget(1.0), cpu=Clock())
    q.owe(Owed(0, "a", "e", 1, 1))
    running = asyncio.create_task(q.run())
    await begun.wait()
    waiting = asyncio.create_task(q.between_slates())
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    async with asyncio.timeout(5):
        await waiting
    running.cancel()


async def test_where_more_is_owed_than_is_made_the_newest_go_first_and_what_waits_too_long_is_skipped():
    q, _, served, settled = queue(behind=False, cost=0.01, patience_s=0.5)
    for k in range(CROWDED + 200):
        q.owe(Owed(0, f"u{k}", "e", 1, 1))
    await run_until(q, lambda: len(settled) == CROWDED + 200)
    newest, skipped = [f"u{k}" for k in range(CROWDED + 199, CROWDED + 140, -1)], q.stats["skipped"]
    assert served[:40] == newest[:40]
    assert 140 <= skipped < 160
    assert len(served) + skipped == CROWDED + 200


async def test_a_slate_that_turns_out_to_have_nothing_to_show_is_settled_and_counted_as_such():
    answers = []
    q, _, _, settled = queue(at_once=False, answers=answers)
    q.owe(Owed(0, "a", "e", 1, 1))
    await run_until(q, lambda: answers)
    answers[0].set_result(None)
    await until(lambda: settled == ["a"])
    assert (q.stats["failed"], q.stats["served"]) == (1, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_slates_of_a_user_that_the_log_did_not_take_the_newer_is_made_again(order):
    answers = []
    q, *_ = queue(at_once=False, answers=answers)
    for k, cause in enumerate(("older", "newer"), start=1):
        q.owe(Owed(0, "a", cause, 1, 1))
        await run_until(q, lambda k=k: len(answers) == k)
    for k in order:
        answers[k].set_exception(ConnectionError())
    settled = []
    q._settle = lambda owed: settled.append(owed.cause)
    task = asyncio.create_task(q.run())
    await until(lambda: len(answers) == 3)
    answers[2].set_result("in the log")
    await until(lambda: settled)
    task.cancel()
    assert settled == ["newer"]
