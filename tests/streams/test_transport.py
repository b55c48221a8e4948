"""The transport on a real Kafka: whole fetches, positions that are never lost, partitions that wait for themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from streams.transport import BEGINNING, Batch, Hooks, LostRange, Options, batches, seek
from streams.transport_fetch import clear_in_time
from streams.transport_pace import Pace
from tests.kafka.broker import KafkaBroker
from tests.streams.transport_world import Reader, create, produce, running, until


def numbered(n: int, begin: int = 0) -> list[bytes]:
    return [str(k).encode() for k in range(begin, begin + n)]


async def test_a_fetch_is_one_batch_that_says_which_positions_it_covers(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    produce(kafka, topic, numbered(500), 0)
    produce(kafka, topic, numbered(300), 1)
    reader = Reader(kafka, topic, namespace)
    async with running(reader.app):
        await reader.read(800)
    assert reader.values(0) == numbered(500)
    assert reader.values(1) == numbered(300)
    assert len(reader.batches) <= 6
    for batch in reader.batches:
        assert batch.from_position == batch.records[0].offset
        assert batch.next_position == batch.records[-1].offset + 1
        assert batch.generation > 0
        assert (batch.records[0].key, batch.topic) == (b"k", topic)
    assert reader.batches[-1].behind() == 0


async def test_batches_are_bounded_in_records_and_in_bytes(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, [b"x" * 1_000] * 2_000)
    reader = Reader(kafka, topic, namespace, options=Options(max_batch_records=300, max_batch_bytes=200_000))
    async with running(reader.app):
        await reader.read(2_000)
    sizes = [len(b.records) for b in reader.batches]
    assert max(sizes) <= 300
    assert max(sum(len(r.value or b"") for r in b.records) for b in reader.batches) <= 200_000 + 64 * 1_000
    assert [b.from_position for b in reader.batches[1:]] == [b.next_position for b in reader.batches[:-1]]


async def test_where_to_read_on_is_asked_once_per_assignment(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    for p in range(2):
        produce(kafka, topic, numbered(20), p)
    asked: list[tuple[str, int]] = []

    async def position_for(topic: str, partition: int, generation: int) -> int:
        asked.append((topic, partition))
        return 15 if partition else BEGINNING

    reader = Reader(kafka, topic, namespace, hooks=Hooks(position_for=position_for))
    async with running(reader.app):
        await reader.read(25)
    assert reader.values(0) == numbered(20)
    assert reader.values(1) == numbered(5, 15)
    assert sorted(asked) == [(topic, 0), (topic, 1)]


async def test_a_position_that_cannot_be_had_yet_is_asked_for_again(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    for p in range(2):
        produce(kafka, topic, numbered(5), p)
    told: list[int] = []

    async def position_for(topic: str, partition: int, generation: int) -> int:
        if partition == 1 and not told:
            raise ConnectionError("no Redis yet")
        return 0

    hooks = Hooks(position_for=position_for, on_waiting=lambda _, partition, __: told.append(partition))
    reader = Reader(kafka, topic, namespace, hooks=hooks)
    async with running(reader.app):
        await reader.read(10)
    assert told == [1]


async def test_a_seek_is_done_between_fetches_and_reads_again_from_there(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(100))
    reader = Reader(kafka, topic, namespace)
    async with running(reader.app):
        await reader.read(100)
        for begin in (40, 0, 99):
            before = sum(len(b.records) for b in reader.batches)
            seek(reader.app, topic, 0, begin)
            await reader.read(before + 100 - begin)
            assert reader.values()[before:] == numbered(100 - begin, begin)
        produce(kafka, topic, numbered(1, 100))
        await until(lambda: reader.values()[-1] == b"100", "reading on")


async def test_a_seek_while_a_batch_is_under_way_is_not_undone_by_its_end(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(10))
    release = asyncio.Event()

    async def held_up(batch: Batch) -> None:
        await release.wait()

    reader = Reader(kafka, topic, namespace, work=held_up)
    async with running(reader.app):
        await reader.read(10)
        seek(reader.app, topic, 0, 4)
        produce(kafka, topic, numbered(10, 10))
        release.set()
        await reader.read(26)
    assert reader.values() == numbered(10) + numbered(16, 4)


async def test_a_lost_range_stops_its_partition_alone_and_is_told(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    for p in range(2):
        produce(kafka, topic, numbered(50), p)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, 0): 30})
    admin.close()
    lost: list[LostRange] = []

    async def position_for(topic: str, partition: int, generation: int) -> int:
        return 10

    hooks = Hooks(position_for=position_for, on_lost_range=lost.append)
    reader = Reader(kafka, topic, namespace, hooks=hooks)
    async with running(reader.app):
        await until(lambda: lost, "the loss told")
        await reader.read(40)
        assert lost == [LostRange(topic, 0, 10, 30, 50)]
        assert reader.values(0) == []
        assert reader.values(1) == numbered(40, 10)
        seek(reader.app, topic, 0, 30)  # an operator's decision
        await reader.read(60)
        assert reader.values(0) == numbered(20, 30)


async def test_a_position_beyond_the_logs_end_is_lost_too(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(5))
    lost: list[LostRange] = []

    async def position_for(topic: str, partition: int, generation: int) -> int:
        return 1_000

    reader = Reader(
        kafka, topic, namespace, hooks=Hooks(position_for=position_for, on_lost_range=lost.append)
    )
    async with running(reader.app):
        await until(lambda: lost, "the loss told")
    assert lost[0].position == 1_000
    assert reader.batches == []


async def test_transaction_markers_and_aborted_records_leave_no_gap(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=namespace)
    await producer.start()
    for k in range(6):
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, str(k).encode(), partition=0)
                if k % 2:
                    raise InterruptedError
        except InterruptedError:
            pass
    await producer.stop()
    reader = Reader(kafka, topic, namespace, options=Options(max_batch_records=1))
    async with running(reader.app):
        await reader.read(3)
    assert reader.values() == [b"0", b"2", b"4"]
    assert [b.from_position for b in reader.batches] == [0, *(b.next_position for b in reader.batches[:-1])]


async def test_a_batch_its_agent_failed_on_is_given_again(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(10))
    failures, folded = 0, 0

    async def work(batch: Batch) -> None:
        nonlocal failures, folded
        if failures < 2:
            failures += 1
            raise ArithmeticError("a bug in the fold")
        folded = batch.next_position

    async def position_for(topic: str, partition: int, generation: int) -> int:
        return 0

    hooks = Hooks(position_for=position_for, reached=lambda *_: folded)
    reader = Reader(kafka, topic, namespace, hooks=hooks, work=work)
    async with running(reader.app):
        await until(lambda: folded == 10, "the batch folded in at last", 30)
    assert failures == 2


async def test_without_a_position_of_its_own_a_failed_batch_is_given_again_too(
    kafka: str, namespace: str
) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(10))
    done: list[Batch] = []
    failures: list[Batch] = []

    async def work(batch: Batch) -> None:
        if not failures:
            failures.append(batch)
            raise ArithmeticError("a bug in the agent")
        done.append(batch)

    reader = Reader(kafka, topic, namespace, work=work)
    async with running(reader.app):
        await until(lambda: done, "the batch given again", 30)
    assert [r.value for b in done for r in b.records] == numbered(10)


async def test_a_batch_that_is_cut_short_by_the_end_of_its_worker_is_not_done(
    kafka: str, namespace: str
) -> None:
    topic = create(kafka, f"{namespace}.a")
    produce(kafka, topic, numbered(10))

    async def stuck(batch: Batch) -> None:
        await asyncio.Event().wait()

    first = Reader(kafka, topic, namespace, work=stuck)
    async with running(first.app):
        await first.read(10)
    second = Reader(kafka, topic, namespace)
    async with running(second.app):
        await second.read(10)


async def test_kafka_is_told_how_far_each_partition_is_done(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    for p in range(2):
        produce(kafka, topic, numbered(70 + p), p)
    reader = Reader(kafka, topic, namespace)
    async with running(reader.app):
        await reader.read(141)
    consumer = KafkaConsumer(bootstrap_servers=kafka, group_id=namespace)
    told = [consumer.committed(TopicPartition(topic, p)) for p in range(2)]
    consumer.close()
    assert told == [70, 71]
    again = Reader(kafka, topic, namespace)
    produce(kafka, topic, [b"new"], 1)
    async with running(again.app):
        await again.read(1)
    assert again.values(1) == [b"new"]


async def test_a_backlog_of_one_application_does_not_delay_another_in_the_same_process(
    kafka: str, namespace: str
) -> None:
    events, requests = create(kafka, f"{namespace}.events", 2), create(kafka, f"{namespace}.requests")
    for p in range(2):
        produce(kafka, events, [b"x" * 100] * 30_000, p)
    waits: list[float] = []

    async def slow(batch: Batch) -> None:
        await asyncio.sleep(0.2)  # a fold that is far behind

    async def answer(batch: Batch) -> None:
        waits.extend(time.time() - float(record.value or b"0") for record in batch.records)

    fold = Reader(kafka, events, f"{namespace}-fold", work=slow)
    recommend = Reader(kafka, requests, f"{namespace}-recommend", work=answer)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    async with running(fold.app, recommend.app):
        await producer.start()
        for k in range(50):
            await producer.send_and_wait(requests, str(time.time()).encode())
            await until(lambda k=k: len(waits) > k, "an answer")
        assert sum(len(b.records) for b in fold.batches) < 60_000
        await producer.stop()
    assert sorted(waits)[25] < 0.1
    assert {b.topic for b in fold.batches} == {events}


async def test_a_busy_partition_delays_no_other_of_the_same_application(kafka: str, namespace: str) -> None:
    events, other = create(kafka, f"{namespace}.a"), create(kafka, f"{namespace}.b")
    produce(kafka, events, numbered(10))
    release = asyncio.Event()

    async def stuck(batch: Batch) -> None:
        await release.wait()

    reader = Reader(kafka, events, namespace, work=stuck)
    beside: list[Batch] = []

    @reader.app.agent(batches(reader.app, other), name=f"{namespace}.beside")
    async def read(stream: Any) -> None:
        async for batch in stream:
            beside.append(batch)

    async with running(reader.app):
        await reader.read(10)
        produce(kafka, events, numbered(10, 10))
        for k in range(5):
            produce(kafka, other, numbered(1, k))
            await until(lambda k=k: len(beside) > k, "the other topic's record")
        assert len(reader.values()) == 10  # its next batch is not fetched before this one is done
        release.set()
        await reader.read(20)


def taken_by(reader: Reader) -> list[list[bytes | None]]:
    """What each take brings, from now on."""
    consumer: Any = reader.app.consumer
    take, found = consumer._thread.take, list[list[bytes | None]]()

    async def noted(*arguments: Any) -> Any:
        taken = await take(*arguments)
        found.append([record.value for piece in taken for record in piece.records])
        return taken

    consumer._thread.take = noted
    return found


async def test_a_partition_that_has_room_again_joins_the_take_that_waits(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    produce(kafka, topic, [b"a"])
    started, release = asyncio.Event(), asyncio.Event()

    async def work(batch: Batch) -> None:
        started.set()
        await release.wait()

    reader = Reader(kafka, topic, namespace, work=work)
    async with running(reader.app):
        await started.wait()
        found = taken_by(reader)
        produce(kafka, topic, [b"b"])
        await until(lambda: found, "a take that began before ends with nothing")
        consumer: Any = reader.app.consumer
        await until(lambda: consumer._taking is not None, "the next one waits for the other partition")
        found.clear()
        release.set()
        await reader.read(2)
    assert found[0] == [b"b"], "it was not ended to ask anew"


async def test_a_batch_that_is_done_at_once_is_followed_without_an_empty_take(
    kafka: str, namespace: str
) -> None:
    topic = create(kafka, f"{namespace}.a")
    reader = Reader(kafka, topic, namespace)
    async with running(reader.app):
        await until(lambda: reader.app.consumer.generation >= 0, "an assignment")
        produce(kafka, topic, [b"0"])
        await reader.read(1)
        found = taken_by(reader)
        for k in range(1, 21):
            produce(kafka, topic, [str(k).encode()])
            await reader.read(k + 1)
    values = [value for values in found for value in values]
    assert values == numbered(len(values), 21 - len(values))
    assert sum(not each for each in found) <= 2, "each that ends with nothing has waited for a second"


async def test_while_the_process_is_busy_records_gather_at_the_broker(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a", 2)
    reader = Reader(kafka, topic, namespace)
    reader.app.consumer._pace = Pace(most_ms=3_000, free=0.0, full=1e-6)  # whatever it does is much
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    async with running(reader.app):
        produce(kafka, topic, [b"first"])
        await reader.read(1)
        begun = len(reader.batches)
        for k in range(30):
            await producer.send_and_wait(topic, str(k).encode(), partition=k % 2)
        await reader.read(31)
    await producer.stop()
    assert reader.values(0)[1:] == [str(k).encode() for k in range(0, 30, 2)]
    assert reader.values(1) == [str(k).encode() for k in range(1, 30, 2)]
    assert len(reader.batches) - begun < 15, "one by one they would be thirty"


async def test_aiokafka_never_takes_a_request_that_is_done_for_one_in_flight(
    kafka: str, namespace: str
) -> None:
    """It would then ask for nothing, until its timeout of 200 ms."""
    topic = create(kafka, f"{namespace}.events", partitions=8)
    reader = Reader(kafka, topic, namespace)
    looks: list[bool] = []
    async with running(reader.app):
        await until(lambda: len(list(reader.app.consumer.places())) == 8, "all partitions are ours")
        fetcher = reader.app.consumer._thread._consumer._fetcher
        actions = fetcher._get_actions_per_node

        def look(assignment: Any) -> Any:
            under_way = any(not task.done() for task in fetcher._pending_tasks)
            looks.append(bool(fetcher._in_flight) and not under_way)
            return actions(assignment)

        fetcher._get_actions_per_node = look
        await asyncio.to_thread(_trickle, kafka, topic, 1_500)
        await reader.read(1_500)
    assert len(looks) > 100
    assert not any(looks)


def _trickle(bootstrap: str, topic: str, records: int) -> None:
    """One record after the other, each once the one before is in the log, over eight partitions."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    for k in range(records):
        producer.send(topic, value=b"x", partition=k % 8).get(10)
    producer.flush()
    producer.close()


async def test_a_node_is_free_as_soon_as_its_request_ends_before_any_callback_of_its_task() -> None:
    seen: list[set[int]] = []

    async def ask(assignment: Any, node: int, what: Any) -> bool:
        await asyncio.sleep(0)
        return True

    fetcher = SimpleNamespace(_in_flight={7}, _proc_fetch_request=ask, _update_fetch_positions=ask)
    clear_in_time(fetcher)
    for request in (fetcher._proc_fetch_request, fetcher._update_fetch_positions):
        fetcher._in_flight.add(7)
        task = asyncio.ensure_future(request(None, 7, None))
        while not task.done():  # noqa: ASYNC110 - turns of the loop, not time, are waited for
            await asyncio.sleep(0)
        seen.append(set(fetcher._in_flight))
        assert task.result() is True
    assert seen == [set(), set()]


async def test_no_port_is_opened(kafka: str, namespace: str) -> None:
    topic = create(kafka, f"{namespace}.a")
    before = _listening()
    reader = Reader(kafka, topic, namespace)
    async with running(reader.app):
        assert _listening() == before


def _listening() -> set[int]:
    return {c.laddr.port for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN}


async def test_while_kafka_is_away_the_worker_waits_and_then_reads_on(
    make_broker: Callable[..., KafkaBroker], namespace: str
) -> None:
    broker = make_broker(heap_mb=256)
    topic = create(broker.bootstrap, f"{namespace}.a", 2)
    produce(broker.bootstrap, topic, numbered(50))
    reader = Reader(broker.bootstrap, topic, namespace, commit_interval_s=0.2)
    async with running(reader.app):
        await reader.read(50)
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(10)  # the goal names ten seconds
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(produce, broker.bootstrap, topic, numbered(50, 50))
        await until(lambda: reader.values()[-1:] == [b"99"], "reading on", 40)
        assert not reader.app.should_stop
        await asyncio.to_thread(broker.kill)
        began = time.monotonic()
    assert time.monotonic() - began < 15, (
        "a worker that is told to end does not wait for a broker that is away"
    )
    assert set(reader.values()) == set(numbered(100))


@pytest.mark.parametrize(
    "name", ["fetch_max_wait_ms", "fetch_idle_wait_ms", "max_batch_records", "max_batch_bytes"]
)
def test_options_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: 0})


async def test_a_worker_without_partitions_waits_longer_than_the_poll_interval_and_takes_over(
    kafka: str, namespace: str
) -> None:
    topic = create(kafka, f"{namespace}.a")
    readers = [Reader(kafka, topic, namespace, poll_interval_s=1.0) for _ in range(2)]
    first, second = readers
    async with running(second.app):
        async with running(first.app):
            await until(lambda: any(list(r.app.consumer.places()) for r in readers), "an owner")
            await asyncio.sleep(3)
            produce(kafka, topic, numbered(1))
            await until(lambda: any(r.batches for r in readers), "the owner reads")
        produce(kafka, topic, numbered(1, 1))
        await until(lambda: second.values()[-1:] == [b"1"], "the other one reads on")
