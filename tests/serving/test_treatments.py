"""Experiments where they take effect: overrides, labels, holdouts, and the moments they begin and end."""

from __future__ import annotations

import numpy as np

from online_models.history import UserRecord
from online_models.interning import Interner
from serving.experiments import Experiments, parse
from serving.filters import Asked
from serving.treatments import HeldOutItemsFilter, Treatments
from serving.types import SlateRequest, SurfacePolicy

DAY = 86_400_000
SURFACES = {"home": SurfacePolicy(), "item": SurfacePolicy(diversity=0.5)}


def declared(more: str = "", overrides: str = "{diversity: 0.3, candidates: 50}") -> Experiments:
    return parse(f"""
{more}
layers:
  ranking:
    experiments:
      diverse:
        start: 1970-01-02T00:00:00Z
        end: 1970-01-03T00:00:00Z
        traffic: 1
        surfaces: [home]
        variants: {{control: {{}}, treatment: {{overrides: {overrides}}}}}
""")


def test_without_experiments_a_surface_is_as_the_settings_say() -> None:
    treatments = Treatments(SURFACES)
    assert treatments.of("u", "item", DAY).surface.diversity == 0.5
    assert treatments.of("u", "unheard of", DAY).surface == SURFACES["home"]


def test_a_variant_overrides_the_surface_and_what_stands_beside_it() -> None:
    treatments = Treatments(SURFACES, declared())
    given = {treatments.of(f"u{k}", "home", DAY) for k in range(50)}
    assert {(t.label, t.surface.diversity, t.candidates) for t in given} == {
        ("ranking:diverse/control", 0.15, None),
        ("ranking:diverse/treatment", 0.3, 50),
    }


def test_exploration_and_model_can_be_overridden() -> None:
    treatments = Treatments(
        SURFACES, declared(overrides="{exploration: false, model_version: v2, recommend_n: 3}")
    )
    given = {treatments.of(f"u{k}", "home", DAY) for k in range(50)}
    assert {(t.exploring, t.model, t.n) for t in given} == {(True, "", None), (False, "v2", 3)}


def test_an_experiment_begins_and_ends_for_users_that_are_known_already() -> None:
    treatments = Treatments(SURFACES, declared())
    labels = [treatments.of("u", "home", at).label for at in (DAY - 1, DAY, 2 * DAY - 1, 2 * DAY, DAY)]
    assert [bool(label) for label in labels] == [False, True, True, False, True]


def test_another_declaration_holds_at_once() -> None:
    treatments = Treatments(SURFACES, declared())
    assert treatments.of("u", "home", DAY).label
    treatments.declare(None)
    assert not treatments.of("u", "home", DAY).label


def test_what_is_kept_of_users_is_bounded() -> None:
    treatments = Treatments(SURFACES, declared(), most=10)
    for k in range(100):
        treatments.of(f"u{k}", "home", DAY)
    assert len(treatments._known) <= 10


def test_held_out_users_are_in_no_experiment_and_can_be_told_apart() -> None:
    treatments = Treatments(SURFACES, declared("holdout: 0.5"))
    labels = [treatments.of(f"u{k}", "home", DAY).label for k in range(100)]
    out = [label for label in labels if label == "holdout:global/held_out"]
    assert 30 < len(out) < 70
    assert all(
        "ranking:diverse/" in label and "holdout:global/open" in label for label in set(labels) - set(out)
    )


def test_held_out_items_are_left_out_also_those_named_later() -> None:
    interner = Interner()
    experiments = declared("item_holdout: 0.3")
    rule = HeldOutItemsFilter(Treatments(SURFACES, experiments), interner)
    asked = Asked(SlateRequest(request_id="r", user_id="u"), UserRecord(), SURFACES["home"])
    for upto in (50, 100):
        interner.add([(f"i{k}", k) for k in range(upto) if k % 7 or upto == 100])  # some names come late
        kept = rule.keep(np.arange(upto, dtype=np.int32), asked)
        assert kept is not None
        named = [interner.name(k) for k in range(upto)]
        assert kept.tolist() == [not (name and experiments.item_held_out(name)) for name in named]
        assert 0 < kept.sum() < upto
