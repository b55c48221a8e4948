"""The life of a version: forward one step at a time, back at once, and the same state for all who read the log."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.registry import MOST_HELD, Change, ChangeUnreadable, Registry, What

NUMBERS = count()


def change(what: What, version: str = "", who: str = "ann", **more: Any) -> Change:
    return Change(id=str(next(NUMBERS)), ts=1_000, who=who, what=what, version=version, **more)


def after(*changes: Change) -> Registry:
    registry = Registry()
    for one in changes:
        assert registry.apply(one) == ""
    return registry


def in_canary(version: str = "v2", share: float = 0.1) -> list[Change]:
    return [change("register", version), change("promote", version), change("promote", version, share=share)]


def test_a_version_is_promoted_one_step_at_a_time() -> None:
    registry = Registry()
    registry.apply(change("register", "v2"))
    states = [registry.versions["v2"].state]
    for _ in range(3):
        registry.apply(change("promote", "v2", share=0.1))
        states.append(registry.versions["v2"].state)
    assert states == ["candidate", "shadow", "canary", "live"]
    assert (registry.live, registry.previous, registry.canary) == ("v2", "base", "")
    assert "cannot be promoted" in registry.apply(change("promote", "v2"))


def test_who_let_users_see_a_version_is_noted_with_what_it_had_learnt() -> None:
    registry = after(
        *in_canary()[:2], change("promote", "v2", who="bo", share=0.1, details={"offsets": {"0": 7}})
    )
    assert registry.versions["v2"].approvals == ["bo"]
    assert registry.versions["v2"].lineage == {"offsets": {"0": 7}}


def test_a_version_that_needs_approvals_goes_live_only_with_those_of_others() -> None:
    registry = after(change("register", "v2", approvals=2), *in_canary()[1:])
    assert "needs 2 approvals and has 0" in registry.apply(change("promote", "v2"))
    assert "somebody else must approve" in registry.apply(change("approve", "v2", who="ann"))
    assert registry.apply(change("approve", "v2", who="bo")) == ""
    assert "approved v2 already" in registry.apply(change("approve", "v2", who="bo"))
    assert "has 1" in registry.apply(change("promote", "v2"))
    assert registry.live == "base"
    assert registry.apply(change("approve", "v2", who="cy")) == ""
    assert registry.apply(change("promote", "v2")) == ""
    assert (registry.live, registry.versions["v2"].approved) == ("v2", ["bo", "cy"])
    assert "nothing to approve" in registry.apply(change("approve", "v2", who="di"))
    refused = [entry.refused for entry in registry.audit if entry.change.what == "approve" and entry.refused]
    assert len(refused) == 3, "what had no effect is in the log too"


def test_approvals_stand_in_the_log_and_come_back_with_it() -> None:
    changes = [change("register", "v2", approvals=1), change("approve", "v2", who="bo")]
    read = after(*(Change.decode(one.encode()) for one in changes))
    assert (read.versions["v2"].wanted, read.versions["v2"].approved) == (1, ["bo"])
    assert "must be from 0 to 10" in Registry().apply(change("register", "v3", approvals=11))
    with pytest.raises(ChangeUnreadable):
        Change.decode(changes[0].encode().replace(b'"approvals":1', b'"approvals":"one"'))


def test_a_canary_answers_its_share_of_users_and_always_the_same_ones() -> None:
    registry = after(*in_canary(share=0.2))
    served = {f"u{k}": registry.version_for(f"u{k}") for k in range(2_000)}
    assert 330 < sum(version == "v2" for version in served.values()) < 470
    assert served == {user: registry.version_for(user) for user in served}
    assert {registry.label_for(user) for user in served} == {"model:v2/canary", "model:v2/live"}


def test_a_canary_taken_back_leaves_the_live_version_and_freezes_learning() -> None:
    registry = after(*in_canary(), change("rollback", "v2", reason="fewer clicks"))
    assert (registry.live, registry.canary, registry.frozen) == ("base", "", True)
    assert registry.versions["v2"].state == "retired"
    assert not registry.learns("base")
    assert registry.label_for("u") == ""


def test_what_is_frozen_learns_again_when_released_and_promotes_nothing_before() -> None:
    registry = after(*in_canary(), change("rollback"), change("register", "v3"))
    assert "frozen" in registry.apply(change("promote", "v3"))
    registry.apply(change("release"))
    assert registry.learns("base")
    assert registry.apply(change("promote", "v3")) == ""


def test_a_live_version_taken_back_gives_way_to_the_one_before_which_was_held_as_it_was() -> None:
    registry = after(*in_canary(), change("promote", "v2"))
    assert "base" in registry.held
    assert not registry.learns("base")
    registry.apply(change("rollback", "v2"))
    assert (registry.live, registry.versions["base"].state, registry.frozen) == ("base", "live", True)


def test_several_guards_take_a_version_back_once() -> None:
    registry = after(*in_canary(), change("promote", "v2"))
    assert registry.apply(change("rollback", "v2", who="one")) == ""
    assert registry.apply(change("rollback", "v2", who="two")) == "there is nothing to go back to"
    assert registry.live == "base"


def test_a_change_that_is_told_twice_counts_once() -> None:
    [first, *_] = steps = in_canary()
    registry = after(*steps)
    assert registry.apply(first) == "told before"
    assert len(registry.audit) == 3


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (change("register", "V 2"), "called by"),
        (change("register", "base"), "already"),
        (change("register", "v9", details={"speed": 1}), "a recipe has no speed"),
        (change("register", "v9", details={"rate": "fast"}), "must be a number"),
        (change("promote", "v9"), "there is no version"),
        (change("retire", "base"), "only a candidate or a shadow"),
        (change("rollback"), "nothing to go back to"),
    ],
)
def test_what_the_state_forbids_has_no_effect_and_stays_in_the_log_with_the_reason(
    made: Change, why: str
) -> None:
    registry = Registry()
    assert why in registry.apply(made)
    assert why in registry.audit[-1].refused
    assert list(registry.versions) == ["base"]


def test_a_second_canary_and_a_share_that_is_too_large_are_refused() -> None:
    registry = after(*in_canary(), *in_canary("v3")[:2])
    assert "already" in registry.apply(change("promote", "v3", share=0.1))
    registry = after(*in_canary("v3")[:2])
    assert "share" in registry.apply(change("promote", "v3", share=0.6))


def test_no_more_versions_are_held_than_memory_is_meant_for() -> None:
    registry = Registry()
    for k in range(MOST_HELD + 1):
        registry.apply(change("register", f"v{k}"))
        registry.apply(change("promote", f"v{k}"))
    assert len(registry.held) == MOST_HELD


def test_exploration_is_switched_off_and_on() -> None:
    assert not after(change("explore", on=False)).exploring
    assert after(change("explore", on=False), change("explore", on=True)).exploring


def test_two_versions_are_compared_by_recipe_and_lineage() -> None:
    registry = after(change("register", "v2", details={"rate": 0.1}), change("register", "v3"))
    assert registry.diff("v2", "v3") == {"recipe.rate": (0.1, None)}


@given(st.binary(max_size=60))
def test_bytes_that_are_no_change_are_refused_with_their_own_error(raw: bytes) -> None:
    with pytest.raises(ChangeUnreadable):
        Change.decode(raw)


CHANGES = st.builds(
    Change, id=st.text("abcdef", min_size=4, max_size=8), ts=st.just(0), who=st.just("a"),
    what=st.sampled_from(["register", "promote", "retire", "rollback", "release", "explore"]),
    version=st.sampled_from(["v1", "v2", "base", ""]), share=st.sampled_from([0.1, 0.9]), on=st.booleans(),
)  # fmt: skip


@given(st.lists(CHANGES, max_size=40))
def test_whatever_is_told_one_version_is_live_and_ready(changes: list[Change]) -> None:
    registry = Registry()
    for one in changes:
        registry.apply(one)
    live = [version.name for version in registry.versions.values() if version.state == "live"]
    assert live == [registry.live]
    assert {registry.version_for("u"), registry.live} <= set(registry.held)
    assert len(registry.held) <= MOST_HELD + 1
