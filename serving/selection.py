"""The last stage: which of the ranked candidates are shown, in which slot, with which propensity.

Greedy for most requests, a draw for the randomised share; both by the same rules of diversity and caps. One request in
a hundred has one adjacent pair swapped instead, to tell examination from relevance. What is decided here is final.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from online_models import bandit, chance
from online_models.bandit import Greedy, Policy
from online_models.catalog import Catalog
from online_models.counters import IMPRESSION, ItemCounters
from online_models.model import Model
from serving.newcomers import NEW_BELOW
from serving.ranking import Ranked, policy_of
from serving.reranking import UNTAGGED, Diversity, TagCap, best_slate, tag_table
from serving.types import SlateRequest, SurfacePolicy

Places = NDArray[np.intp]
Scores = NDArray[np.float64]
ScoresFor = Callable[[str, int], Scores]

_STEPS = 255
_NONE = np.zeros(0, dtype=np.intp)
_NO_PINS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Basis:
    """What a draw went by: ``scores`` float64[n] or [rows, n], and what diversity took off in each slot but the first.

    Both are as the log can hold them: scores to five places (rows in half precision), likeness in steps of 1/255.
    """

    scores: Scores
    penalty: float = 0.0
    likeness: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """The slate as places among the candidates; ``swapped`` is the upper slot of a swapped pair.

    ``basis`` is what a randomised slate was drawn by, None for a greedy one.
    """

    slate: bandit.Slate
    randomised: bool
    swapped: int | None = None
    new_item_slot: int | None = None
    basis: Basis | None = None


class Selection:
    """Fills the slots of a slate.

    Args:
        namespace: part of the seed: a retried request gets the same slate, another tenant's does not.
    """

    def __init__(self, model: Model, counters: ItemCounters, catalog: Catalog, namespace: str) -> None:
        self._model, self._counters, self._catalog = model, counters, catalog
        self._namespace = namespace

    def select(
        self, request: SlateRequest, ranked: Ranked, surface: SurfacePolicy, scores_for: ScoresFor,
        *, exploring: bool = True, pinned: Mapping[int, int] = _NO_PINS,
    ) -> Selected:  # fmt: skip
        """Fill the slots.

        Args:
            scores_for: (policy, seed) -> what it draws by.
            exploring: False is the kill switch: nothing is randomised, swapped or given to new items.
            pinned: slot -> place among the candidates, set by rule; such a slate has no swap and no slot for new items.
        """
        rid, name = request.request_id, request.surface
        if exploring and chance.is_randomised(rid, name, surface.randomised_share):
            return self._drawn(request, ranked, surface, scores_for, pinned)
        if pinned:
            given = self._diversity(Greedy(), ranked.scores, request, ranked, surface, 0)
            return Selected(
                self._fill(Greedy(), ranked.scores, request, ranked, surface, 0, given, pinned), False
            )
        slot = self._new_item_slot(request, surface) if exploring else None
        slate = self._greedy(request, ranked, surface, slot)
        if slot is not None and not self._holds_new(ranked, slate, slot):
            slot = None
        pair = chance.swapped_pair(rid, name, len(slate.chosen), surface.swap_share) if exploring else None
        if pair is None:
            return Selected(slate, False, None, slot)
        return Selected(_swapped(slate, pair), False, pair, slot)

    def looks_further(self, request: SlateRequest, surface: SurfacePolicy) -> bool:
        """Whether candidates of this request are to hold items that no source proposes.

        Those of requests that are drawn at random, and every second one with a slot for a new item: the other half of
        these slots is left to what has just arrived, which sources do propose.
        """
        if chance.is_randomised(request.request_id, request.surface, surface.randomised_share):
            return True
        slot = self._new_item_slot(request, surface)
        return slot is not None and chance.stable_hash("further", request.request_id) % 2 == 0

    def _drawn(
        self, request: SlateRequest, ranked: Ranked, surface: SurfacePolicy, scores_for: ScoresFor,
        pinned: Mapping[int, int],
    ) -> Selected:  # fmt: skip
        policy = policy_of(surface)
        seed = chance.seed_of(self._namespace, request.request_id, policy.spec)
        scores = _loggable(scores_for(policy.name, seed))
        given = self._diversity(policy, scores, request, ranked, surface, _STEPS)
        slate = self._fill(policy, scores, request, ranked, surface, seed, given, pinned)
        return Selected(slate, True, basis=_basis(scores, given))

    def _greedy(
        self, request: SlateRequest, ranked: Ranked, surface: SurfacePolicy, slot: int | None
    ) -> bandit.Slate:
        """The best, from the few that can be among them."""
        near = np.flatnonzero(ranked.place < 4 * request.n)
        new = self._new(ranked) if slot is not None else _NONE
        rows = np.union1d(near, new) if len(new) else near
        ids = ranked.candidates.ids[rows]
        chosen = best_slate(
            ranked.scores[rows], self._model.vectors(ids) if surface.diversity else None, surface.diversity,
            request.n, most=surface.per_tag_cap, new_slot=slot,
            new=np.searchsorted(rows, new) if len(new) else None,
            tags=tag_table(self._catalog, ids) if surface.per_tag_cap else UNTAGGED,
        )  # fmt: skip
        places = tuple(rows[list(chosen)].tolist())
        return bandit.Slate(places, (1.0,) * len(places), (), (), Greedy.spec)

    def _fill(
        self, policy: Policy, scores: Scores, request: SlateRequest, ranked: Ranked, surface: SurfacePolicy,
        seed: int, given: Diversity | None, pinned: Mapping[int, int],
    ) -> bandit.Slate:  # fmt: skip
        able = TagCap(self._catalog, ranked.candidates, surface.per_tag_cap) if surface.per_tag_cap else None
        return bandit.draw_slate(
            policy, scores, request.n, chance.generator(seed), eligible=able, given=given, pinned=pinned
        )

    def _diversity(
        self, policy: Policy, scores: Scores, request: SlateRequest, ranked: Ranked, surface: SurfacePolicy,
        steps: int,
    ) -> Diversity | None:  # fmt: skip
        if not surface.diversity:
            return None
        rows = 1 if policy.name == "linucb" else None
        vectors = self._model.vectors(ranked.candidates.ids)
        return Diversity(scores, vectors, surface.diversity, request.n, rows=rows, steps=steps)

    def _new_item_slot(self, request: SlateRequest, surface: SurfacePolicy) -> int | None:
        """The slot that goes to a new item, for a share of requests: any but the first three."""
        if chance.stable_hash("new", request.surface, request.request_id) >= surface.new_item_share * 2.0**63:
            return None
        span = max(1, request.n - 3)
        at = 3 + chance.stable_hash("new slot", request.request_id) % span
        return min(at, request.n - 1)

    def _holds_new(self, ranked: Ranked, slate: bandit.Slate, slot: int) -> bool:
        """Whether there was a new item for the slot: a target is met by what is shown, not by what was meant."""
        places = np.array(slate.chosen[slot : slot + 1], dtype=np.intp)
        return bool((self._counters.exact(ranked.candidates.ids[places], IMPRESSION) < NEW_BELOW).any())

    def _new(self, ranked: Ranked) -> Places:
        """Places of the candidates that hardly anybody has seen."""
        seen = self._counters.exact(ranked.candidates.ids, IMPRESSION)
        return np.flatnonzero(seen < NEW_BELOW)


def _loggable(scores: Scores) -> Scores:
    """Scores as the log holds them, so that what is logged is what was drawn by."""
    out: Scores = scores.round(5) if scores.ndim == 1 else scores.astype(np.float16).astype(np.float64)
    return out


def _basis(scores: Scores, given: Diversity | None) -> Basis:
    if given is None or not given.likeness:
        return Basis(scores)
    return Basis(scores, given.penalty, np.stack(given.likeness))


def _swapped(slate: bandit.Slate, upper: int) -> bandit.Slate:
    chosen = list(slate.chosen)
    chosen[upper], chosen[upper + 1] = chosen[upper + 1], chosen[upper]
    return replace(slate, chosen=tuple(chosen))
