"""What the parts that are not ours cost alone, us of CPU an event: no arrangement of them is faster than their sum."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import orjson
from aiokafka import AIOKafkaConsumer
from river import linear_model, optim

from bench.deployment import Deployment
from bench.traffic import Sent, Traffic
from online_models.click_features import ClickSchema
from online_models.model import Model
from streams import validation

_EVENTS = 20_000


def measure(deployment: Deployment, events: int) -> dict[str, float]:
    """Parsing, validation, River and aiokafka; ``events`` are in the deployment's topic."""
    records = list(islice(Traffic(start_ms=1 << 40), _EVENTS))
    return {
        "orjson_loads": _cost(lambda: [orjson.loads(r.value) for r in records]),
        "pydantic": _cost(lambda: _validated(records)),
        "river_learn_one_per_label": _river(),
        "aiokafka": asyncio.run(_aiokafka(deployment, events)),
    }


def _validated(records: list[Sent]) -> None:
    for record in records:
        validation._EVENT.validate_json(record.value, strict=True)


def _cost(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return round(1e6 * (time.process_time() - begun) / _EVENTS, 2)


def _river() -> float:
    """A logistic regression of River's own over as many features as the click head reads."""
    names = ClickSchema.of(Model().schema).names
    regression = linear_model.LogisticRegression(optim.SGD(0.01))
    rows = np.random.default_rng(0).normal(size=(2_000, len(names)))
    examples = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    begun = time.process_time()
    for k, example in enumerate(examples):
        regression.learn_one(example, k % 10 == 0)
    return round(1e6 * (time.process_time() - begun) / len(examples), 2)


async def _aiokafka(deployment: Deployment, events: int) -> float:
    """Fetching and decoding records, nothing else."""
    consumer = AIOKafkaConsumer(
        f"{deployment.settings.namespace}.events",
        bootstrap_servers=deployment.broker.bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    count, begun = 0, time.process_time()
    while count < events:
        count += sum(map(len, (await consumer.getmany(timeout_ms=1_000, max_records=1_000)).values()))
    used = time.process_time() - begun
    await consumer.stop()
    return round(1e6 * used / count, 2)
