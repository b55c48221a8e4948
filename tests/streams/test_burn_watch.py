"""A burning error budget pauses experiments in every process, and they go on when it has recovered, or by hand."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from online_models.drift_signal import DriftSignal
from online_models.registry import Change, Registry
from serving.api_metrics import ApiMetrics
from serving.experiments import parse
from serving.treatments import Treatments
from serving.types import SurfacePolicy
from streams import metrics
from streams.burn_watch import HELD_OPEN_MS, PAUSE_MS, BurnWatch
from streams.registry_log import RegistryLog, change
from tests.serving.world import World
from tests.streams.test_decisions import ListStore

START = 1_700_000_000_000
TEXT = """
layers:
  l:
    experiments:
      e: {start: 2020-01-01T00:00:00Z, end: 2030-01-01T00:00:00Z, traffic: 1,
          variants: {a: {}, b: {overrides: {diversity: 0.4}}}}
"""


class Process:
    """One process with counters of its own, over a log it shares; time is moved by hand."""

    def __init__(self, store: ListStore, name: str = "api-1") -> None:
        self.s = 0.0
        self.bad = self.total = 0.0
        self.told: list[DriftSignal] = []
        self.log = RegistryLog(store)  # type: ignore[arg-type]
        self.watch = BurnWatch(
            name, self.log, {"availability": (0.001, lambda: (self.bad, self.total))}, self._tell,
            now=self.now, clock=lambda: self.s,
        )  # fmt: skip

    def now(self) -> int:
        return START + round(1_000 * self.s)

    async def _tell(self, signal: DriftSignal) -> None:
        self.told.append(signal)

    async def serve(self, seconds: float, share: float) -> None:
        """So many seconds at ten requests a second, a share of which fail."""
        for _ in range(round(seconds / 5)):
            self.s += 5
            self.total += 50
            self.bad += 50 * share
            await self.log.catch_up()
            await self.watch.look()

    @property
    def paused(self) -> bool:
        return self.log.registry.paused_until > self.now()


async def test_experiments_pause_when_the_budget_burns_and_go_on_when_it_has_recovered() -> None:
    here = Process(ListStore())
    await here.serve(1_800, 0.0005)
    assert not here.paused and here.told == []
    await here.serve(60, 0.2)
    assert here.paused
    [signal] = here.told
    assert (signal.name, signal.severity) == ("experiments_paused:availability", "critical")
    assert signal.statistic > signal.threshold == 2.0
    await here.serve(1_200, 0.2)
    assert here.paused and len(here.told) == 1, "a pause that goes on is told once"
    await here.serve(PAUSE_MS / 1_000 - 60, 0.0)
    assert here.paused
    await here.serve(3_600, 0.0)
    assert not here.paused
    assert [s.detector for s in here.told] == ["burn_rate", "recovery"]
    assert here.told[1].severity == "info" and here.told[1].evidence["short_rate"] == 0.0


async def test_two_processes_that_see_it_at_once_pause_once() -> None:
    store = ListStore()
    one, two = Process(store, "api-1"), Process(store, "api-2")
    for _ in range(24):
        await one.serve(5, 0.1)
        await two.serve(5, 0.1)
    assert one.paused and two.paused
    assert len(one.told) + len(two.told) == 1


async def test_what_a_person_resumes_is_left_alone_for_an_hour() -> None:
    here = Process(ListStore())
    await here.serve(300, 0.1)
    assert here.paused
    await here.log.add(change("resume", here.now(), who="ann", details={"until": here.now() + HELD_OPEN_MS}))
    await here.serve(HELD_OPEN_MS / 1_000 - 10, 0.1)
    assert not here.paused
    await here.serve(60, 0.1)
    assert here.paused


async def test_what_a_person_pauses_stays_paused_until_resumed() -> None:
    here = Process(ListStore())
    await here.log.add(change("pause", here.now(), who="ann"))
    await here.serve(86_400, 0.0)
    assert here.paused
    await here.serve(300, 0.1)  # a guard's pause is shorter than that
    await here.log.add(change("resume", here.now(), who="ann"))
    assert not here.paused


def test_while_paused_everyone_gets_the_control_and_exposures_say_so() -> None:
    world = World()
    world.recommender.treatments.declare(parse(TEXT))
    users = [f"u{k}" for k in range(40)]

    def slates() -> list[Any]:
        return [world.slate(world.user("i0"), user_id=user) for user in users]

    before = slates()
    assert {slate.variant for slate in before} == {"l:e/a", "l:e/b"}
    registry = Registry()
    registry.apply(Change(id="1", ts=0, who="guard", what="pause", details={"until": START + PAUSE_MS}))
    world.recommender.follow(registry)
    meanwhile = slates()
    assert {slate.variant for slate in meanwhile} == {""}
    assert all("experiments_paused" in slate.flags for slate in meanwhile)
    registry.apply(Change(id="2", ts=1, who="ann", what="resume"))
    world.recommender.follow(registry)
    assert [slate.variant for slate in slates()] == [slate.variant for slate in before]


def test_a_pause_ends_by_the_clock_and_holds_from_its_first_moment() -> None:
    treatments = Treatments({"home": SurfacePolicy(diversity=0.1)}, parse(TEXT))
    of_b = next(f"u{k}" for k in range(40) if treatments.of(f"u{k}", "home", START).label == "l:e/b")

    def at(moment: int) -> tuple[float, str, bool]:
        treatment = treatments.of(of_b, "home", moment)
        return treatment.surface.diversity, treatment.label, treatment.paused

    assert at(START) == (0.4, "l:e/b", False)
    treatments.pause(START + 1_000)
    assert at(START) == at(START + 999) == (0.1, "", True)
    assert at(START + 1_000) == (0.4, "l:e/b", False)
    assert at(START + 999) == (0.1, "", True), "an older moment is judged as it was"


def test_objectives_are_read_from_what_prometheus_is_told() -> None:
    api = ApiMetrics(CollectorRegistry())
    for status, n in (("200", 97), ("404", 2), ("503", 1)):
        api.requests.labels("/v1/recommendations", status).inc(n)
    for seconds in (0.01, 0.19, 0.21, 3.0):
        api.latency.labels("/v1/recommendations").observe(seconds)
    api.latency.labels("/v1/trending").observe(3.0)
    assert api.answered() == (1, 100)
    assert api.slates_late() == (2, 4)
    freshness = metrics.freshness(CollectorRegistry())
    for seconds in (0.01, 0.25, 0.3):
        freshness.observe(seconds)
    assert metrics.late(freshness) == (1, 3)


async def test_the_burn_rate_and_the_pause_are_metrics() -> None:
    here = Process(ListStore())
    registry = CollectorRegistry()
    registry.register(here.watch)
    await here.serve(300, 0.1)
    labels = {"slo": "availability", "window": "5m"}
    assert registry.get_sample_value("freshet_error_budget_burn_ratio", labels) == pytest.approx(100.0)
    assert registry.get_sample_value("freshet_experiments_paused") == 1.0
