"""One request, read aloud: retrieve, filter, rank, select; what fails on the way degrades the answer, not more.

    request, user -> candidates (sources, filters) -> ranked (ordering head) -> slots (diversity, caps, the draw)
                  -> features and probabilities as served -> slate

Reads only: nothing here changes what was learnt. The caller logs each slate as an exposure.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.catalog import Catalog
from online_models.events import MAX_SLOTS
from online_models.heads import Heads
from online_models.history import UserRecord
from online_models.identity import hash64
from online_models.interning import Interner
from online_models.learner import Learner
from online_models.objective_value import Valued
from online_models.objective_weights import CLICK
from online_models.registry import Registry
from serving import filters
from serving.experiments import Experiments
from serving.explain import reasons, worth
from serving.fallback import LastGood, again
from serving.filters import Asked, FilterChain
from serving.newcomers import NOBODY, Newcomers
from serving.ranking import Ranked, Ranking
from serving.retrieval import Retrieval
from serving.selection import Selected, Selection
from serving.treatments import HeldOutItemsFilter, Treatment, Treatments
from serving.types import Aims, Choice, Slate, SlateItem, SlateRequest, SurfacePolicy

log = logging.getLogger(__name__)


class Recommender:
    """Answers requests from what a process has learnt.

    Args:
        surfaces: how slates of each surface are made; an unknown surface is treated as the first.
        candidates: ranked per request, at most.
        namespace: part of every seed.
    """

    def __init__(
        self,
        learner: Learner,
        catalog: Catalog,
        interner: Interner,
        surfaces: Mapping[str, SurfacePolicy],
        *,
        candidates: int = 200,
        namespace: str = "freshet",
    ) -> None:
        self.learner, self.catalog, self.interner = learner, catalog, interner
        self.surfaces = dict(surfaces)
        self.treatments = Treatments(self.surfaces)
        self.treatments.actions = (CLICK, *learner.objectives.actions)
        self.registry = Registry()
        self.retrieval = Retrieval(learner.model, learner.counters, catalog, n=candidates)
        self.ranking = Ranking(learner)
        self.selection = Selection(learner.model, learner.counters, catalog, namespace)
        self.newcomers = Newcomers(catalog, learner.counters)
        self.last_good = LastGood()
        self.exploring = True
        self.stats: Counter[str] = Counter()
        self._filters = (*filters.standard(catalog, interner), HeldOutItemsFilter(self.treatments, interner))

    @property
    def model_version(self) -> str:
        """Which model answers those in no canary."""
        return self._named(self.ranking.heads())

    def _named(self, heads: Heads) -> str:
        return f"{heads.version}-{self.learner.schema}"

    def follow(self, registry: Registry) -> None:
        """Answer as the registry says: by which version, for what, whether anything is explored, experiments run."""
        self.registry = registry
        self.treatments.pause(registry.paused_until)
        self.learner.follow(registry)
        self.treatments.weigh(registry.weights)

    def declare(self, experiments: Experiments | None) -> None:
        """Other experiments hold from now on, and weights of their own for those of their variants that learn apart."""
        self.learner.give_own(experiments.own() if experiments is not None else {})
        self.treatments.declare(experiments)

    def surface(self, name: str) -> SurfacePolicy:
        """How slates of a surface are made."""
        return self.treatments.surface(name)

    # ------------------------------------------------------------------ answering

    def recommend(
        self, request: SlateRequest, record: UserRecord | None, now: int, *, degraded: str = ""
    ) -> Slate:
        """A slate for a user.

        Args:
            record: what is known of the user; None for a user nobody knows, or whose record cannot be had.
            now: wall clock, ms.
            degraded: which part could not be had, where the caller knows of one.
        """
        begun = time.perf_counter()
        self.stats["requests"] += 1
        tier = self.treatments.tier(request, record)
        treatment = self.treatments.of(request.user_id, request.surface, now, tier)
        if treatment.n is not None and not request.n_asked:
            request = replace(request, n=treatment.n)
        asked = Asked(request, record or UserRecord(), treatment.surface)
        try:
            stale = self._stale(asked, degraded) if degraded else None
            slate = stale or self._fresh(asked, treatment, now, degraded)
        except Exception as error:  # a request is answered whatever fails within
            self.stats["pipeline_failed"] += 1
            log.exception("a slate could not be made; the last good one is served")
            slate = self._rescued(asked, now, f"pipeline: {type(error).__name__}")
        if label := self._label(request.user_id, treatment):
            slate = replace(slate, variant=label, took_ms=1_000.0 * (time.perf_counter() - begun))
        if treatment.paused:
            slate = replace(slate, flags=(*slate.flags, "experiments_paused"))
        self.stats["degraded"] += bool(slate.degraded)
        if not slate.degraded:
            self.last_good.keep(slate)
        return slate

    def _label(self, user_id: str, treatment: Treatment) -> str:
        """The variants a request is in; one that an experiment gives a version of its own is in no canary."""
        of_canary = "" if treatment.model else self.registry.label_for(user_id)
        return f"{treatment.label} {of_canary}".strip() if of_canary else treatment.label

    def _fresh(self, asked: Asked, treatment: Treatment, now: int, degraded: str) -> Slate:
        request, record = asked.request, asked.record
        keep = FilterChain(self._filters, asked)
        query = record.query(hash64(request.user_id), now)
        exploring = self.exploring and self.registry.exploring and treatment.exploring
        further = exploring and self.selection.looks_further(request, asked.surface)
        also = self.newcomers.draw(request.request_id) if further else NOBODY
        pins = {
            number: at for item, at in request.pins.items() if (number := self.interner.get(item)) is not None
        }
        if pins:
            also = np.union1d(also, np.array(list(pins), dtype=np.int32)).astype(np.int32)
        candidates = self.retrieval.candidates(query, keep, treatment.candidates, also, treatment.without)
        failed = ", ".join(candidates.failed)
        version = treatment.model or self.registry.version_for(request.user_id)
        ranked = self.ranking.order(
            candidates, record, request.surface, now, version, asked.surface.objectives
        )

        def scores_for(policy: str, seed: int) -> NDArray[np.float64]:
            return self.ranking.scores_for(policy, ranked, seed)

        pinned = {at: row for number, at in pins.items() if (row := candidates.place(number)) is not None}
        selected = self.selection.select(
            request, ranked, asked.surface, scores_for, exploring=exploring, pinned=pinned
        )
        told = degraded or (f"sources: {failed}" if failed else "")
        slate = self._slate(request, ranked, selected, keep.removed, told)
        return self._filled_up(slate, request, keep, now)

    def _slate(
        self,
        request: SlateRequest,
        ranked: Ranked,
        selected: Selected,
        removed: Mapping[str, int],
        degraded: str,
    ) -> Slate:
        """What was selected, with its features as served and the probabilities they give."""
        rows = np.array(selected.slate.chosen, dtype=np.intp)
        features, missing = ranked.served(rows)
        self.stats["features_missing"] += missing
        positions = np.arange(len(rows))
        probability = self.ranking.probabilities(features, positions, request.surface, ranked.heads)
        c = ranked.candidates
        sources = self.learner.model.sources
        numbers = c.ids[rows].tolist()
        told = self._reasons(request, ranked, rows, features) if request.explain else repeat(None, len(rows))
        slots = zip(
            self.interner.named(numbers), numbers, range(len(rows)), ranked.scores[rows].tolist(),
            map(sources.__getitem__, c.source[rows].tolist()), selected.slate.propensities,
            probability.tolist(), self.catalog.titles(numbers), told, strict=True,
        )  # fmt: skip
        items = tuple(map(SlateItem._make, slots))
        return Slate(
            request_id=request.request_id,
            user_id=request.user_id,
            surface=request.surface,
            items=items,
            policy=selected.slate.policy,
            model_version=self._named(ranked.heads),
            feature_schema=self.learner.schema,
            features=features,
            candidates=c,
            choice=self._choice(ranked, selected),
            flags=(*_flags(selected), "degraded") if degraded else _flags(selected),
            swapped=selected.swapped,
            removed=removed,
            degraded=degraded,
            aims=None if ranked.worth is None else _aims(ranked.worth, rows),
        )

    def _reasons(
        self, request: SlateRequest, ranked: Ranked, rows: NDArray[np.intp], features: NDArray[np.float16]
    ) -> list[dict[str, Any]]:
        """Why each slot is what it is."""
        c, heads = ranked.candidates, ranked.heads
        return [
            reasons(self.learner, heads, c, row, features[k], k, request) | worth(ranked.worth, row)
            for k, row in enumerate(rows.tolist())
        ]

    def _choice(self, ranked: Ranked, selected: Selected) -> Choice | None:
        basis = selected.basis
        if basis is None:
            return None
        names = tuple(self.interner.named(ranked.candidates.ids.tolist()))
        free = np.ones(len(names), dtype=np.bool_)
        barred = []
        for k, (place, able) in enumerate(zip(selected.slate.chosen, selected.slate.able, strict=True)):
            others: tuple[int, ...] = ()
            if len(able) < len(names) - k:
                left = free.copy()
                left[able] = False
                others = tuple(left.nonzero()[0].tolist())
            barred.append(others)
            free[place] = False
        scores, rows = basis.scores, None
        if scores.ndim == 2:
            rows = scores.astype(np.float16)
            scores = (scores[0] if selected.slate.policy.startswith("linucb") else scores.mean(axis=0)).round(
                5
            )
        return Choice(
            items=names, scores=scores, barred=tuple(barred), rows=rows, penalty=basis.penalty,
            likeness=basis.likeness,
        )  # fmt: skip

    def _filled_up(self, slate: Slate, request: SlateRequest, keep: FilterChain, now: int) -> Slate:
        """A slate that came out short is filled from what is trending, new, or there at all."""
        short = min(request.n, MAX_SLOTS) - len(slate.items)
        if short <= 0:
            return slate
        taken = np.array([item.number for item in slate.items], dtype=np.int32)
        more = self.retrieval.reserves(short, taken, request.surface, now, keep)
        if not more:
            return slate
        begin = len(slate.items)
        extra = tuple(
            SlateItem(self.interner.name(n), n, begin + k, 0.0, source, title=self.catalog.title(n))
            for k, (n, source) in enumerate(more)
        )
        # no candidates, no features as served: such a slate counts, and teaches the click head nothing
        flags = (*slate.flags, "filled_up")
        return replace(slate, items=slate.items + extra, features=None, choice=None, flags=flags)

    # ------------------------------------------------------------------ when a part is down

    def _stale(self, asked: Asked, degraded: str) -> Slate | None:
        """The user's last good slate, without what may no longer be shown; None when nothing of it is left."""
        request = asked.request
        held = self.last_good.of_user(request.user_id, request.surface)
        if held is None:
            return None
        keep = FilterChain(self._filters, asked)
        numbers = np.array(sorted(item.number for item in held.items), dtype=np.int32)
        allowed = set(numbers[keep(numbers)].tolist())
        items = tuple(item for item in held.items if item.number in allowed)
        if not items:
            return None
        self.stats["served_stale"] += 1
        return replace(
            held, request_id=request.request_id, items=again(items, request.n), features=None,
            flags=("degraded", "cached"), degraded=degraded, policy="last_good", removed=dict(keep.removed),
            aims=None,
        )  # fmt: skip

    def _rescued(self, asked: Asked, now: int, degraded: str) -> Slate:
        """What can still be answered when the pipeline fails: the last good list, or what is trending or new."""
        request = asked.request
        nothing = Slate(
            request_id=request.request_id, user_id=request.user_id, surface=request.surface, items=(),
            policy="reserves", model_version=self.model_version, flags=("degraded",), degraded=degraded,
        )  # fmt: skip
        try:
            stale = self._stale(asked, degraded)
            return stale or self._filled_up(nothing, request, FilterChain(self._filters, asked), now)
        except Exception:
            log.exception("nor could any other list be had; the answer is empty")
            return nothing


def _aims(worth: Valued, rows: NDArray[np.intp]) -> Aims:
    said = {CLICK: worth.clicks, **worth.said}
    return Aims(weights=worth.weights, said={action: tuple(p[rows].tolist()) for action, p in said.items()})


def _flags(selected: Selected) -> tuple[str, ...]:
    told = {
        "randomised": selected.randomised,
        "swapped": selected.swapped is not None,
        "new_item_slot": selected.new_item_slot is not None,
        "pinned": bool(selected.slate.pinned),
    }
    return tuple(name for name, holds in told.items() if holds)
