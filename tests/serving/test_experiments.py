"""Experiments: declared as a whole or not at all, and everybody is where a hash says, for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.errors import SettingsError
from online_models.experiment_stats import sample_ratio
from serving.experiments import Experiments, load, parse

DAY = 86_400_000
WHEN = "start: 1970-01-01T00:00:00Z, end: 1970-01-15T00:00:00Z"
TWO = f"""
salt: shop
holdout: 0.1
item_holdout: 0.05
layers:
  ranking:
    experiments:
      diverse:
        {{{WHEN}, traffic: 0.4, surfaces: [home], variants: {{control: {{}}, more: {{overrides: {{diversity: 0.3}}}}}}}}
      caps:
        {{{WHEN}, traffic: 0.6, offset: 0.4,
          variants: {{control: {{share: 0.8}}, two: {{share: 0.2, overrides: {{per_tag_cap: 2}}}}}}}}
  model:
    experiments:
      v2: {{{WHEN}, traffic: 1.0, variants: {{old: {{}}, new: {{overrides: {{model_version: v2}}}}}}}}
"""
FROZEN = [
    {"ranking": "diverse/more", "model": "v2/old"},
    {"ranking": "diverse/more", "model": "v2/old"},
    {"ranking": "diverse/more", "model": "v2/new"},
]
USERS = [f"u{k}" for k in range(20_000)]


def variants(declared: Experiments, layer: str, surface: str = "home", now: int = DAY) -> Counter[str | None]:
    return Counter(declared.assign(user, surface, now).variants.get(layer) for user in USERS)


def one(**more: str) -> str:
    """One experiment, with some of its lines replaced."""
    lines = {"when": WHEN, "traffic": "traffic: 0.5", "variants": "variants: {a: {}, b: {}}", **more}
    return f"layers: {{l: {{experiments: {{e: {{{', '.join(lines.values())}}}}}}}}}"


def test_users_are_split_as_declared_in_every_layer() -> None:
    declared = parse(TWO)
    counts = variants(declared, "ranking")
    names = ["diverse/control", "diverse/more", "caps/control", "caps/two", None]
    assert set(counts) == set(names)
    shares = [0.9 * share for share in (0.2, 0.2, 0.48, 0.12)] + [0.1]
    assert not sample_ratio([counts[name] for name in names], shares).mismatch
    models = variants(declared, "model")
    assert not sample_ratio([models["v2/old"], models["v2/new"]], [1, 1]).mismatch


def test_layers_do_not_know_of_each_other() -> None:
    declared = parse(TWO)
    both = Counter(tuple(declared.assign(user, "home", DAY).variants.values()) for user in USERS)
    within = [both[("diverse/more", model)] for model in ("v2/old", "v2/new")]
    assert not sample_ratio(within, [1, 1]).mismatch


def test_what_variants_override_comes_together() -> None:
    declared = parse(TWO)
    mine = next(a for u in USERS if len((a := declared.assign(u, "home", DAY)).overrides) == 2)
    assert mine.overrides["model_version"] == "v2"
    assert mine.own_weights == () and mine.own_model == ""
    assert mine.label.startswith("ranking:")


def test_the_held_out_are_in_no_experiment_and_items_are_held_out_apart_from_them() -> None:
    declared = parse(TWO)
    out = [user for user in USERS if declared.held_out(user)]
    assert len(out) == pytest.approx(2_000, abs=130)
    assert all(not declared.assign(user, "home", DAY).variants for user in out)
    assert declared.assign(out[0], "home", DAY).held_out
    assert sum(map(declared.item_held_out, USERS)) == pytest.approx(1_000, abs=100)


def test_an_experiment_holds_from_its_start_to_before_its_end_and_on_its_surfaces() -> None:
    declared = parse(TWO)
    assert variants(declared, "model", now=14 * DAY - 1)["v2/new"] > 0
    assert set(variants(declared, "model", now=14 * DAY)) == {None}
    assert variants(declared, "ranking", surface="item")["diverse/more"] == 0


def test_who_is_where_does_not_change_when_another_experiment_is_declared_or_ends() -> None:
    alone = parse(TWO.replace("  model:", "  other:").replace("caps:", "z-caps:"))
    both = parse(TWO)
    for user in USERS[:2_000]:
        was, now = (d.assign(user, "home", DAY).variants.get("ranking") for d in (alone, both))
        assert (was or "").startswith("diverse") == (now or "").startswith("diverse")
        assert not (now or "").startswith("diverse") or was == now


def test_assignments_are_the_same_for_ever() -> None:
    declared = parse(TWO)
    assert [dict(declared.assign(user, "home", DAY).variants) for user in ("alice", "bob", "carol")] == FROZEN


@given(st.text(max_size=20), st.sampled_from(["home", "item"]), st.integers(0, 20 * DAY))
def test_anybody_is_assigned_the_same_every_time(user: str, surface: str, now: int) -> None:
    assert parse(TWO).assign(user, surface, now) == parse(TWO).assign(user, surface, now)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            one(traffic="traffic: 1.5"),
            "layers.l.experiments.e.traffic: Input should be less than or equal to 1",
        ),
        (one(traffic="traffic: 0.5, offset: 0.6"), "offset and traffic must add up to at most 1, not 1.1"),
        (one(when="start: 1970-01-02T00:00:00Z, end: 1970-01-01T00:00:00Z"), "end must be after start"),
        (one(when="start: 1970-01-01T00:00:00, end: 1970-01-02T00:00:00"), "timezone"),
        (one(variants="variants: {a: {}}"), "at least 2 items"),
        (one(variants="variants: {a: {share: 0.5}, b: {}}"), "given for all and add up to 1"),
        (one(variants="variants: {a: {}, b: {override: {x: 1}}}"), "variants.b.override: Extra inputs"),
        (one(variants="variants: {a: {}, b: {}}, metrics: [clicks]"), "Input should be 'click_rate'"),
        ("layers: [", "not YAML"),
        ("7", "valid dictionary"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text, name="file.yml")
    assert str(error.value).startswith("file.yml: ")
    assert told in str(error.value)


def test_two_experiments_that_share_users_are_forbidden_in_a_layer_and_a_way_out_is_told() -> None:
    with pytest.raises(SettingsError, match=r"'diverse' and 'caps' share .* give 'caps' an offset of 0\.4"):
        parse(TWO.replace("offset: 0.4,", ""))
    other_surface = TWO.replace("offset: 0.4,", "surfaces: [item],")
    assert variants(parse(other_surface), "ranking", "item")["caps/two"] > 0


def test_two_layers_may_not_override_the_same_setting_at_once() -> None:
    with pytest.raises(SettingsError, match="both override diversity: put them into one layer"):
        parse(TWO.replace("model_version: v2", "diversity: 0.1"))


def test_a_name_stands_for_one_experiment() -> None:
    with pytest.raises(SettingsError, match="'caps' is in the layers 'ranking' and 'model'"):
        parse(TWO.replace("      v2:", "      caps:"))


def test_an_override_nobody_knows_is_refused_with_its_place(tmp_path: Path) -> None:
    def check(overrides: Mapping[str, Any]) -> None:
        if "per_tag_cap" in overrides:
            raise ValueError("no setting is called per_tag_cap")

    path = tmp_path / "experiments.yml"
    path.write_text(TWO)
    with pytest.raises(
        SettingsError, match=r"caps\.variants\.two\.overrides: no setting is called per_tag_cap"
    ):
        load(path, check)


def test_without_a_declaration_nobody_is_in_an_experiment() -> None:
    assert parse("").assign("alice", "home", 0).variants == {}
