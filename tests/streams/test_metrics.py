"""What is exported is what the page of metrics says, by the field's conventions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from online_models.base import Interaction
from online_models.identity import hash64
from online_models.state import Outcome
from serving.types import Choice, Slate, SlateItem
from streams.metrics import Stats
from streams.metrics_slates import SlateMeter
from streams.metrics_spread import Groups, disparity, gini
from tests.serving.world import NOW, World
from tests.support.exported import families, series

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "metrics.md"
_UNITS = ("_seconds", "_ratio", "_weight")


def _ours() -> dict[str, str]:
    suffix = {"counter": "_total", "info": "_info"}
    return {
        f"{name}{suffix.get(of.type, '')}": of.type
        for name, of in families().items()
        if name.startswith("freshet_")
    }


def test_the_page_lists_every_metric_with_its_type_and_none_besides() -> None:
    listed = dict(re.findall(r"^\| `(freshet_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert listed == _ours()


def test_every_query_on_the_page_asks_for_what_is_exported() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and "`" in line]
    asked = {name for row in rows for name in re.findall(r"\b(?:freshet|process)_\w+", row)}
    known = series() | set(_ours())  # the list names a distribution, a query one of its series
    assert len(asked) > 60
    assert asked <= known


def test_every_metric_says_what_it_is() -> None:
    assert [name for name, of in families().items() if not of.documentation] == []


def test_distributions_are_named_by_their_unit() -> None:
    distributions = [n for n, of in families().items() if of.type in ("histogram", "summary")]
    assert distributions
    assert all(name.endswith(_UNITS) for name in distributions)


def test_a_partition_that_lags_is_named() -> None:
    registry = CollectorRegistry()
    registry.register(Stats([], lags=lambda: {3: 41}))
    assert 'freshet_lag_records{partition="3"} 41.0' in generate_latest(registry).decode()


def _drawn(probability: float, candidates: int, barred: int = 0) -> Slate:
    names = tuple(f"i{k}" for k in range(candidates))
    bars = (tuple(range(1, 1 + barred)),)
    choice = Choice(items=names, scores=np.zeros(candidates, np.float32), barred=bars)
    item = SlateItem("i0", 0, 0, 1.0, "vsk", propensity=probability)
    return Slate(
        request_id="r", user_id="u", surface="home", items=(item,), policy="plackett_luce",
        model_version="1", flags=("randomised",), choice=choice,
    )  # fmt: skip


def test_the_uniform_target_weighs_one_on_average_when_propensities_are_right() -> None:
    registry = CollectorRegistry()
    meter = SlateMeter(registry)
    chances = np.array([0.7, 0.2, 0.1])
    for chance in np.random.default_rng(0).choice(chances, 20_000, p=chances):
        meter.shown(_drawn(float(chance), candidates=4, barred=1))
    weight = registry.get_sample_value("freshet_uniform_target_weight_sum")
    assert weight is not None
    assert weight / 20_000 == pytest.approx(1.0, abs=0.03)
    assert registry.get_sample_value("freshet_slates_flagged_total", {"flag": "randomised"}) == 20_000


def test_concentration_and_disparity_are_those_of_the_textbook() -> None:
    assert gini(np.array([1, 1, 1, 1])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 9])) == pytest.approx(0.75)
    assert gini(np.zeros(0, dtype=np.int64)) == 0.0
    assert disparity(np.array([0.1, 0.4])) == pytest.approx(4.0)


def test_an_action_we_did_not_show_is_organic_and_counts_by_whether_it_was_a_candidate() -> None:
    world = World()
    learner = world.learner
    user = hash64("u")
    for item in ("i0", "gone"):
        slate = world.slate(world.user("i1"))
        assert slate.candidates is not None
        learner.remember(user, slate.candidates)
        learner.learn(Outcome(interactions=[Interaction(user, world.number(item), NOW)]))
    assert learner.stats["choice.organic"] == 2
    assert sum(n for name, n in learner.stats.items() if name.startswith("held.organic.")) == 1


def test_groups_of_users_are_compared_once_they_were_shown_enough() -> None:
    stats = {
        "group_visits_a": 100, "group_impressions_a": 1_000, "group_clicks_a": 100,
        "group_visits_b": 100, "group_impressions_b": 500, "group_clicks_b": 25,
        "group_visits_tiny": 1, "group_impressions_tiny": 1, "events": 7,
    }  # fmt: skip
    registry = CollectorRegistry()
    registry.register(Groups(lambda: stats))
    value = registry.get_sample_value
    assert value("freshet_user_group_impressions_total", {"group": "b"}) == 500
    assert value("freshet_user_group_exposure_disparity_ratio") == pytest.approx(2.0)
    assert value("freshet_user_group_click_rate_disparity_ratio") == pytest.approx(2.0)
    stats.clear()
    assert value("freshet_user_group_click_rate_disparity_ratio") == 1.0, "there is nothing to compare"
