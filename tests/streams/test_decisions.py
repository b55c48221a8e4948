"""What processes hear to decide alike: the file of experiments, the registry's log in Redis, results over the topic."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from online_models.errors import SettingsError
from online_models.events import Exposure, Slot
from online_models.registry import Registry
from online_models.state import Outcome
from online_models.store import Store
from online_models.user_sums import UserSums
from serving.experiments import Experiments
from streams import settings as freshet_settings
from streams.canary import CanaryWatch
from streams.decisions import Decisions, read
from streams.experiments_file import ExperimentsFile
from streams.monitor import Monitor
from streams.outputs import Message
from streams.overrides import check_for
from streams.registry_log import NAME, RegistryLog, change
from tests.online_models.test_experiment_results import Kind, label
from tests.serving.world import World

TEXT = """
layers:
  l:
    experiments:
      e: {start: 2020-01-01T00:00:00Z, end: 2030-01-01T00:00:00Z, traffic: 1,
          variants: {a: {}, b: {overrides: {diversity: %s}}}}
"""


class ListStore:
    """The lists of a namespace in memory."""

    def __init__(self) -> None:
        self.lists: dict[str, list[bytes]] = {}

    async def append(self, name: str, value: bytes) -> None:
        self.lists.setdefault(name, []).append(value)

    async def appended(self, name: str, begin: int = 0) -> list[bytes]:
        return self.lists.get(name, [])[begin:]


# ---------------------------------------------------------------------- the file


def written(path: Path, text: str, at: int) -> Path:
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_a_file_that_changes_is_declared_anew_and_one_that_does_not_hold_changes_nothing(
    tmp_path: Path,
) -> None:
    declared: list[Experiments] = []
    path = written(tmp_path / "e.yml", TEXT % 0.1, 1)
    file = ExperimentsFile(str(path), declared.append)
    assert (file.look(), len(declared)) == (False, 1)
    written(path, TEXT % 0.3, 2)
    assert (file.look(), len(declared)) == (True, 2)
    for wrong in (TEXT % 7, "layers: ["):
        written(path, wrong, len(wrong))
        assert (file.look(), len(declared)) == (False, 2)
    path.unlink()
    assert not file.look()
    [(_, overrides), _] = reversed(declared[-1].plan.overrides())
    assert overrides == {"diversity": 0.3}


@pytest.mark.parametrize("text", [None, TEXT % 7, TEXT.replace("diversity", "diversty") % 0.1])
def test_a_worker_does_not_start_with_a_file_that_does_not_hold(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "e.yml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError):
        ExperimentsFile(str(path), lambda _: None)


# ---------------------------------------------------------------------- the registry's log


async def test_all_who_read_the_log_come_to_the_same_state(redis_url: str, namespace: str) -> None:
    store = Store(redis_url, namespace)
    followed: list[str] = []

    def follow(registry: Registry) -> None:
        followed.append(registry.canary)

    one, other = RegistryLog(store), RegistryLog(store, follow)
    for what in ("register", "promote", "promote"):
        assert await one.add(change(what, 0, who="ann", version="v2", share=0.1)) == ""  # type: ignore[arg-type]
    assert await other.catch_up()
    assert (other.registry.canary, followed) == ("v2", ["v2"])
    assert (
        await other.add(change("promote", 0, version="v3")) == "there is no version 'v3'; there are base, v2"
    )
    assert not await other.catch_up()
    await store.append(NAME, b"nonsense")
    await one.catch_up()
    assert (one.unreadable, one.registry.canary) == (1, "v2")
    await store.close()


# ---------------------------------------------------------------------- a worker's part


class Deployment:
    """Workers that share a log and hear each other's results, connected to nothing."""

    def __init__(self) -> None:
        self.store, self.sent = ListStore(), list[Message]()

    def worker(self, name: str) -> SimpleNamespace:
        world = World()
        settings = freshet_settings.load()
        decisions = Decisions(settings, {}, self.store, world.recommender)  # type: ignore[arg-type]
        monitor = Monitor(world.parts.watch)
        outputs: Any = SimpleNamespace(deliver=self._deliver)
        canary = CanaryWatch(
            name, decisions, monitor, outputs, world.learner.features, now=lambda: 5, every_s=1.0
        )
        return SimpleNamespace(world=world, decisions=decisions, monitor=monitor, canary=canary)

    async def _deliver(self, messages: list[Message]) -> None:
        self.sent += messages


async def in_canary(deployment: Deployment) -> None:
    log = RegistryLog(deployment.store)  # type: ignore[arg-type]
    for what in ("register", "promote", "promote"):
        assert await log.add(change(what, 0, who="ann", version="v2", share=0.2)) == ""  # type: ignore[arg-type]


def clicks(side: str, users: int, clicked: int, first: int = 0) -> list[Any]:
    """Ten slots seen by each user, some of them clicked."""
    out = []
    for user in range(first, first + users):
        hits = clicked + user % 2
        out += [
            label(Kind.POSITIVE if k < hits else Kind.NEGATIVE, user, f"model:v2/{side}", p=0.3)
            for k in range(10)
        ]
    return out


async def test_a_harmful_canary_is_taken_back_in_all_workers_with_one_record() -> None:
    deployment = Deployment()
    workers = [deployment.worker(name) for name in ("a", "b")]
    await in_canary(deployment)
    for k, worker in enumerate(workers):
        await worker.decisions.log.catch_up()
        assert "v2" in worker.world.learner.heads
        labels = clicks("live", 100, 3, first=1_000 * k) + clicks("canary", 40, 0, first=1_000 * k + 500)
        worker.canary.committed(Outcome(labelled=[*labels, label(Kind.NEGATIVE, variant="")]))
    records = [SimpleNamespace(value=worker.canary.message().value) for worker in workers]
    for worker in workers:
        await worker.decisions.hear(records)
    harms = [await worker.canary.look() for worker in workers]
    assert harms[0] is not None
    assert harms[0].metric == "click rate"
    for worker in workers:
        await worker.decisions.log.catch_up()
        assert (worker.decisions.registry.live, worker.decisions.registry.canary) == ("base", "")
        assert worker.world.learner.frozen
        assert worker.world.learner.heads.keys() == {"base"}
    signals = [signal for worker in workers for signal in worker.monitor.take()]
    assert [(s.name, s.severity, s.runbook) for s in signals] == [
        ("rollback:v2", "critical", "docs/runbooks/model-rollback.md")
    ]
    assert [e.change.who for e in workers[1].decisions.registry.audit if e.change.what == "rollback"] == [
        "guard of a"
    ]


def answers(
    side: str, count: int, *, empty: bool = False, failed: bool = False, ms: float = 3.0
) -> list[Exposure]:
    """Slates served, as the log holds them."""
    return [
        Exposure(
            type="exposure", event_id=f"x{k}", user_id=f"u{k}", ts=0, request_id=f"r{k}",
            items=[] if empty else [Slot("a", 0)], flags=["degraded"] if failed else [],
            context={"variant": f"model:v2/{side}", "took_ms": ms * (1.0 + k % 7 / 7.0)},
        )
        for k in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "guardrail"),
    [
        ({"empty": True}, "share of empty slates"),
        ({"failed": True}, "share of failed answers"),
        ({"ms": 50.0}, "median of answer times, ms"),
    ],
)
async def test_a_canary_that_answers_badly_is_taken_back_and_the_record_names_the_guardrail(
    bad: dict[str, Any], guardrail: str
) -> None:
    deployment = Deployment()
    worker = deployment.worker("a")
    await in_canary(deployment)
    await worker.decisions.log.catch_up()
    worker.canary.committed(Outcome(exposures=[*answers("live", 400), *answers("canary", 150, **bad)]))
    await worker.decisions.hear([SimpleNamespace(value=worker.canary.message().value)])
    await worker.canary.look()
    assert worker.decisions.registry.canary == ""
    [signal] = worker.monitor.take()
    assert (signal.name, signal.detector) == ("rollback:v2", f"guardrail: {guardrail}")
    [record] = [e.change for e in worker.decisions.registry.audit if e.change.what == "rollback"]
    assert record.details["metric"] == guardrail


async def test_a_canary_that_does_no_harm_stays() -> None:
    deployment = Deployment()
    worker = deployment.worker("a")
    await in_canary(deployment)
    await worker.decisions.log.catch_up()
    shown = [*answers("live", 400), *answers("canary", 150, ms=3.5)]
    labels = clicks("live", 100, 3) + clicks("canary", 100, 3, first=500)
    worker.canary.committed(Outcome(labelled=labels, exposures=shown))
    await worker.decisions.hear([SimpleNamespace(value=worker.canary.message().value)])
    assert await worker.canary.look() is None
    assert worker.decisions.report()["model"]["canary"] == "v2"


async def test_results_are_told_when_they_have_changed_and_only_then() -> None:
    worker = Deployment().worker("a")
    assert worker.canary.message() is None
    worker.canary.committed(Outcome(labelled=[label(Kind.POSITIVE), label(Kind.NEGATIVE, user=2)]))
    message = worker.canary.message()
    assert (message.topic, message.key) == ("experiment-results", "a")
    assert orjson.loads(message.value)["variants"].keys() == {"l:e/a"}
    assert worker.canary.message() is None


async def test_the_switch_reaches_the_recommender() -> None:
    deployment = Deployment()
    worker = deployment.worker("a")
    await RegistryLog(deployment.store).add(change("explore", 0, who="ann", on=False))  # type: ignore[arg-type]
    await worker.decisions.log.catch_up()
    assert not worker.world.recommender.registry.exploring
    assert not worker.decisions.report()["model"]["exploring"]


@pytest.mark.parametrize("value", [None, b"", b"nonsense", b"[1]"])
def test_a_record_that_is_no_result_reads_as_nothing(value: bytes | None) -> None:
    assert read(value) == {}


def test_results_of_users_who_were_forgotten_stay() -> None:
    assert UserSums.read(UserSums(users=3, forgotten=2).told()).users == 3


async def test_labels_of_other_actions_than_clicks_count_for_no_variant() -> None:
    worker = Deployment().worker("a")
    of_purchases = [replace(label(kind), action="purchase") for kind in (Kind.POSITIVE, Kind.NEGATIVE)]
    worker.canary.committed(Outcome(labelled=of_purchases))
    assert worker.canary.message() is None


def test_a_variants_weights_name_actions_that_have_a_head_here() -> None:
    check = check_for(
        freshet_settings.Settings(surfaces={"home": {"objectives": {"click": 1, "dislike": 0}}})
    )
    check({"objectives": {"click": 1, "conversion": 20, "dislike": -2}})
    with pytest.raises(ValueError, match="objectives: 'like' is no action with a head"):
        check({"objectives": {"like": 1}})
    with pytest.raises(ValueError, match="diversity"):
        check({"diversity": 3})
