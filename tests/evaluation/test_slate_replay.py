"""A stream judged by the slates a deployment publishes, in process and through Kafka."""

from evaluation.in_process import InProcess
from evaluation.protocol import Event
from evaluation.slate_replay import SlateTally, in_process, wire_events
from serving.assembly import assemble
from serving.types import SurfacePolicy
from streams import through_kafka

COURSES = [
    Event(user, 4 * (user % 3) + step, 10_000 * user + 1_000 * step)
    for user in range(12)
    for step in range(4)
]
"""Three courses of four items, each taken by every third user."""


def test_an_event_is_judged_by_the_slate_before_it_and_only_where_it_could_be_known() -> None:
    tally = SlateTally(k=2)
    tally.score(Event(0, 1, 1), ["i1"])  # no history yet
    tally.score(Event(0, 2, 2), ["i2"])  # an item nobody has seen
    tally.score(Event(1, 1, 3), ["i1"])
    tally.score(Event(1, 2, 4), ["i9", "i8", "i2"])  # beyond the slate of two
    tally.score(Event(2, 2, 5), None)
    tally.score(Event(2, 1, 6), ["i1"])
    tally.score(Event(2, 2, 7), ["i2"])  # in the history already
    tally.score(Event(1, 9, 8), None)  # new again
    assert (tally.events, tally.scored, tally.hits, tally.without_slate) == (8, 2, 1, 0)
    assert tally.told()["recall"] == 0.5


def test_events_on_the_wire_are_the_same_each_time() -> None:
    assert list(wire_events(COURSES)) == list(wire_events(COURSES))


def test_in_process_every_scored_event_of_a_fixed_course_is_hit() -> None:
    tally = in_process(COURSES, k=5)
    assert tally.hits == tally.scored == 27


def test_through_a_broker_a_store_and_a_worker_the_hits_are_those_of_the_process_alone() -> None:
    told = through_kafka.run(COURSES, k=5)
    assert told["kafka"]["scored"] == told["in_process"]["scored"] == 27
    assert told["kafka"]["without_slate"] == 0
    assert abs(told["relative"] - 1.0) <= 0.05


def test_who_is_not_interested_is_given_another_slate_without_the_item_its_tag_and_its_provider() -> None:
    pipeline = InProcess(assemble({"default": SurfacePolicy()}), n=10)
    for k in range(12):
        entry = {"item_id": f"m{k}", "tags": ["war" if k % 3 == 0 else "comedy"], "provider": "ab"[k % 2]}
        pipeline.item(entry, now=k)
    shown = {item.item_id for item in pipeline.slate("alice", now=1_000).items}
    assert "m2" in shown
    pipeline.event({
        "type": "action", "event_id": "n", "user_id": "alice", "ts": 2_000, "item_id": "m2",
        "action": "not_interested", "context": {"veto": ["tag:war", "provider:b"]},
    })  # fmt: skip
    assert pipeline.fresh is not None
    assert {item.item_id for item in pipeline.fresh.items} == {"m4", "m8", "m10"}
