"""A worker's own slates: each is logged as an exposure that is valid, whatever its cause is called."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from online_models.events import Exposure
from serving.experiments import parse
from streams import validation
from streams.outputs import Message
from streams.publish import Publisher
from streams.slates import Owed
from streams.validation import Rules
from tests.serving.world import NOW, World


class FakeOutputs:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def attempt(self, message: Message) -> asyncio.Future[None]:
        self.sent.append(message)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer


def publisher(world: World, outputs: Any) -> Publisher:
    user = world.user(*(["i0"] if len(world.names) else []))
    return Publisher(
        world.recommender, world.learner, outputs, None, Rules(),  # type: ignore[arg-type]
        partitions=4, surface="default", n=5, now=lambda: NOW, record_of=lambda partition, user_id: user,
    )  # fmt: skip


@pytest.mark.parametrize("cause", ["e1", "e" * 256, "💥" * 256])
async def test_a_fresh_slate_is_logged_as_a_valid_exposure_and_names_its_cause(cause: str) -> None:
    outputs = FakeOutputs()
    user = "u" * 256
    assert await publisher(World(), outputs).serve_owed(Owed(0, user, cause, NOW - 50, NOW - 40))
    logged, kept, told = outputs.sent
    event = validation.event(logged.value, NOW, Rules())
    assert isinstance(event, Exposure), event
    slate = orjson.loads(told.value or b"")
    assert (slate["caused_by"], slate["freshness_ms"], slate["user_id"]) == (cause, 40, user)
    assert slate["request_id"] == event.request_id
    topics = ["events", "exposures", "recommendations"]
    assert [(m.topic, m.key) for m in outputs.sent] == [(topic, user) for topic in topics]
    assert kept.value == logged.value


async def test_an_empty_slate_is_logged_only_where_somebody_compares_variants() -> None:
    world, outputs = World(items=(), acted=0), FakeOutputs()
    owed = Owed(0, "u", "e1", NOW - 50, NOW - 40)
    assert await publisher(world, outputs).serve_owed(owed) is None
    assert outputs.sent == []
    world.recommender.treatments.declare(parse("holdout: 1.0"))
    assert await publisher(world, outputs).serve_owed(owed) is not None
    assert [message.topic for message in outputs.sent] == ["events", "exposures"]
    event = validation.event(outputs.sent[0].value, NOW, Rules())
    assert isinstance(event, Exposure), event
    assert event.context["variant"] == "holdout:global/held_out"
    assert event.context["took_ms"] > 0.0
