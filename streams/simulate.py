"""Simulated users against a real freshet, or alone: their traffic as it happens, or written down at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import orjson

from evaluation.scoreboard import Scoreboard
from evaluation.simulator import World
from evaluation.traffic import Plan, Slate, Traffic
from streams.client import EventProducer
from streams.settings import Settings

__all__ = ["Choose", "Plan", "Slate", "Traffic", "to_kafka", "to_lines"]

Choose = Callable[[str, int, int, Collection[str]], Slate]
"""Who is shown what: (user, n, now, items the user acted on) -> slate."""


def to_kafka(world: World, plan: Plan, choose: Choose, settings: Settings) -> Scoreboard:
    """Produce a world's traffic as it happens, in real time; late clicks after the last visit are left out."""
    with EventProducer.of(settings) as producer:
        traffic = Traffic(world, plan, wait=_sleep_until)
        for happening in traffic:
            if happening.ts > traffic.end_ms:
                break
            if happening.item is not None:
                producer.item(happening.item["item_id"], **_without_id(happening.item))
            elif happening.event is not None:
                producer.event(happening.event)
            elif happening.visit is not None:
                _show(traffic, choose, happening.visit, happening.ts)
    return traffic.board


def to_lines(world: World, plan: Plan, choose: Choose, write: Callable[[bytes], Any]) -> Scoreboard:
    """Write a world's events as JSON lines, at once; the catalogue is not among them."""
    traffic = Traffic(world, plan)
    for happening in traffic:
        if happening.event is not None:
            write(orjson.dumps(happening.event) + b"\n")
        elif happening.visit is not None:
            _show(traffic, choose, happening.visit, happening.ts)
    return traffic.board


def _show(traffic: Traffic, choose: Choose, user: str, now: int) -> None:
    traffic.show(user, choose(user, traffic.plan.n, now, traffic.acted[user]), now)


def _sleep_until(ts: int) -> None:
    ahead = ts / 1_000.0 - time.time()
    if ahead > 0.0:
        time.sleep(ahead)


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != "item_id"}
