"""A sequence embedding: the vectors of the last items, added up, point to what is acted on next.

``P(next = j | history) = exp(h . c_j) / sum_k exp(h . c_k)`` with ``h = sum_k fade ** k v_k / |fades|``, learnt against
negatives drawn evenly from all items acted on so far (sampled softmax: Bengio and Senecal, 2008; input and output
vectors as in Mikolov et al., 2013) by Adagrad with fading sums. Even draws matter: with draws by popularity the score
loses the popularity it should hold (Recall@10 on MovieLens .004 against .156).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query
from online_models.index import VectorIndex
from online_models.kernels import embedding as kernel
from online_models.kernels import gather
from online_models.sources.family import NOBODY, Matrix, Places

Vectors = NDArray[np.float32]
_START = 256


class Embedding:
    """Vectors learnt from one interaction at a time.

    Below ``exact_below`` items all are scored; from there on the vector index proposes, and the true score decides.

    Args:
        dims: length of a vector; negatives: drawn per interaction; last: items of a history that count;
        fade: weight of an item against the one after it; rate: of Adagrad, above 0;
        memory: how many updates of a vector its Adagrad sum looks back on;
        proposed: items proposed to a request; seed: of everything random.
        settle: an item's place in the index is renewed when it was learnt so many times since.

    >>> from online_models.sources.family import scores
    >>> embedding = Embedding(dims=8, seed=1)
    >>> for _ in range(200):
    ...     embedding.learn_one(Interaction(user=1, item=2, ts=0, recent=(1,), recent_ts=(0,)))
    ...     embedding.learn_one(Interaction(user=1, item=4, ts=0, recent=(3,), recent_ts=(0,)))
    >>> touch = embedding.touch(Query(2, (3,), (0,), now=1))
    >>> scores(embedding, touch, np.arange(0), np.array([2, 4], dtype=np.int32)).argmax()
    np.int64(1)
    """

    names = ("embedding",)

    def __init__(
        self,
        *,
        dims: int = 64,
        negatives: int = 60,
        last: int = 50,
        fade: float = 0.98,
        rate: float = 0.1,
        memory: int = 5_000,
        proposed: int = 50,
        exact_below: int = 20_000,
        settle: int = 8,
        seed: int = 0,
    ) -> None:
        if min(dims, negatives, last, memory, proposed, settle) < 1 or rate <= 0 or not 0 < fade <= 1:
            raise ValueError("all counts must be at least 1, rate above 0, fade in (0, 1]")
        self.dims, self.negatives, self.last, self.rate, self.proposed = dims, negatives, last, rate, proposed
        self.exact_below, self.settle = exact_below, settle
        self._keep = 1.0 - 1.0 / memory
        fades = (fade ** np.arange(last)).astype(np.float32)
        self._fades = [fades[:k] / np.linalg.norm(fades[:k]) for k in range(1, last + 1)]
        self._norms = np.array([of[0] for of in self._fades], dtype=np.float32)
        self.index = VectorIndex(dims, exact_below=exact_below, seed=seed)
        self._rng = np.random.Generator(np.random.PCG64(seed))
        # Rows of the tables below go by slot, in order of appearance: those of a large catalogue of which little was
        # acted on lie side by side, and are read without a miss of the cache each.
        self._slot = np.full(_START, -1, dtype=np.int32)  # by item
        self._item = np.zeros(0, dtype=np.int32)  # by slot
        self._inner = np.zeros((0, dims), dtype=np.float32)
        self._outer = np.zeros((0, dims), dtype=np.float32)
        self._steps = np.zeros((2, 0), dtype=np.float32)  # Adagrad's sums, one per vector
        self._learnt = np.zeros(0, dtype=np.int32)  # updates since last put into the index
        self._known = np.zeros(0, dtype=np.uint8)  # acted on, and not only met in a history
        self._acted = np.zeros(_START, dtype=np.int32)  # the slots acted on
        self._n = self._slots = 0
        self._indexed = False

    def __len__(self) -> int:
        return self._n

    # ------------------------------------------------------------------ learning

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        votes = [i for k, i in enumerate(x.recent[: self.last]) if not x.voted >> k & 1]
        recent = [i for i in dict.fromkeys(votes) if i != x.item]
        held, target = self._slots_of(recent), self._meet(x.item)
        if not recent or self._n < 2:
            return
        drawn = self._acted[self._rng.integers(0, self._n, self.negatives)]
        targets = np.concatenate([drawn[drawn != target], [target]])
        kernel.learn(
            held, self._fades[len(recent) - 1], targets,
            self._inner, self._outer, self._steps, self._keep, self.rate,
        )  # fmt: skip
        if self._n >= self.exact_below:
            self._settle(np.unique(targets))

    def _meet(self, item: int) -> int:
        """The slot of an item acted on, which is among those that negatives are drawn from."""
        slot = self._slot_of(item)
        if not self._known[slot]:
            if self._n >= len(self._acted):
                self._acted = np.concatenate([self._acted, np.zeros_like(self._acted)])
            self._acted[self._n], self._known[slot] = slot, 1
            self._n += 1
        return slot

    def _slots_of(self, items: list[int]) -> Places:
        """The slots of some items, which have them nearly always."""
        asked = np.array(items, dtype=np.intp)
        if asked.max(initial=0) < len(self._slot):
            held = self._slot[asked].astype(np.intp)
            if held.min(initial=0) >= 0:
                return held
        return np.array([self._slot_of(i) for i in items], dtype=np.intp)

    def _slot_of(self, item: int) -> int:
        if item >= len(self._slot):
            more = max(2 * len(self._slot), item + 1) - len(self._slot)
            self._slot = np.concatenate([self._slot, np.full(more, -1, dtype=np.int32)])
        slot = int(self._slot[item])
        if slot < 0:
            slot = self._slots
            self._room(slot)
            self._slot[item], self._item[slot] = slot, item
            self._slots += 1
        return slot

    def _room(self, slot: int) -> None:
        size = len(self._item)
        if slot < size:
            return
        more = max(_START, size)
        self._item = np.concatenate([self._item, np.full(more, -1, dtype=np.int32)])
        self._inner = np.concatenate([self._inner, self._draw(more, 0.1)])
        self._outer = np.concatenate([self._outer, self._draw(more, 0.01)])
        self._steps = np.concatenate([self._steps, np.full((2, more), 1e-2, dtype=np.float32)], axis=1)
        self._learnt = np.concatenate([self._learnt, np.zeros(more, dtype=np.int32)])
        self._known = np.concatenate([self._known, np.zeros(more, dtype=np.uint8)])

    def _draw(self, rows: int, spread: float) -> Vectors:
        return self._rng.normal(0.0, spread, (rows, self.dims)).astype(np.float32)

    def _settle(self, rows: Places) -> None:
        if not self._indexed:  # the catalogue has outgrown exact search: all at once
            self._indexed = True
            rows = self._acted[: self._n].astype(np.intp)
            self._learnt[rows] = self.settle
        self._learnt[rows] += 1
        due = rows[self._learnt[rows] >= self.settle]
        if len(due):
            self._learnt[due] = 0
            self.index.upsert(self._item[due].astype(np.intp), self._outer[due])
        if self.index.due:
            self.index.rebuild()

    # ------------------------------------------------------------------ answering

    def user_vector(self, recent: tuple[int, ...]) -> Vectors:
        """The history's vector, float32[dims]; zeros for one unknown."""
        return kernel.faded(recent[: self.last], self._slot, self._inner, self._fades[-1], self._norms)

    def vectors(self, ids: Ids) -> Vectors:
        """Normalised item vectors, float32[n, dims]; zeros where there is none."""
        return gather.unit_rows(self._outer, self._known, self._slot, ids.astype(np.int32, copy=False))

    def touch(self, query: Query) -> EmbeddingTouch:
        """The items of greatest score, in no order."""
        hidden = self.user_vector(query.recent)
        if not hidden.any():
            return EmbeddingTouch(self, hidden, NOBODY)
        if self._indexed:
            ids = self.index.search(hidden, 4 * self.proposed)[0]
            score = self._scores(ids, hidden)
        else:
            ids = self._item[: self._slots]
            score = self._outer[: self._slots] @ hidden
            if self._slots > self._n:
                score[self._known[: self._slots] == 0] = -np.inf
        if len(ids) > self.proposed:
            ids = ids[score.argpartition(-self.proposed)[-self.proposed :]]
        if self._slots > self._n:
            ids = ids[self._known[self._slot[ids]] > 0]
        return EmbeddingTouch(self, hidden, ids)

    def score(self, hidden: Vectors, union: Ids, out: Vectors) -> None:
        """Odds against the best of the union, float32[len(union)]."""
        score = self._scores(union, hidden)
        score -= score.max(initial=-1e30)
        np.exp(score, out=out)

    def _scores(self, ids: Ids, hidden: Vectors) -> Vectors:
        return gather.dots(self._outer, self._known, self._slot, ids, hidden, -np.inf)

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        self.index.remove(item)

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """Everything, as arrays; the generator's state too, so that a restored one continues alike."""
        state = self._rng.bit_generator.state
        words = [state["state"][k] >> (64 * w) & (2**64 - 1) for k in ("state", "inc") for w in (0, 1)]
        index = {f"index_{name}": array for name, array in self.index.arrays().items()}
        return {
            **index,
            "item": self._item.copy(), "inner": self._inner.copy(), "outer": self._outer.copy(),
            "steps": self._steps.copy(), "learnt": self._learnt.copy(), "acted": self._acted[: self._n].copy(),
            "rng": np.array([*words, state["has_uint32"], state["uinteger"]], dtype=np.uint64),
        }  # fmt: skip

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays hold vectors of another length.
        """
        if arrays["inner"].shape[1] != self.dims:
            raise ValueError(f"vectors of length {arrays['inner'].shape[1]}; this build's have {self.dims}")
        self.index.load({"vectors": arrays["index_vectors"], "live": arrays["index_live"]})
        if "item" not in arrays:
            arrays = _by_slot(arrays)
        items, acted = arrays["item"], arrays["acted"]
        self._item, self._inner, self._outer = items.copy(), arrays["inner"].copy(), arrays["outer"].copy()
        self._steps, self._learnt = arrays["steps"].copy(), arrays["learnt"].copy()
        self._slots, self._n = int(np.count_nonzero(items >= 0)), len(acted)
        self._slot = np.full(max(_START, 1 + int(items.max(initial=0))), -1, dtype=np.int32)
        self._slot[items[: self._slots]] = np.arange(self._slots, dtype=np.int32)
        self._known = np.zeros(len(items), dtype=np.uint8)
        self._known[acted] = 1
        self._acted = np.zeros(max(_START, 2 * self._n), dtype=np.int32)
        self._acted[: self._n] = acted
        self._indexed = len(self.index) > 0
        words = [int(w) for w in arrays["rng"]]
        state = dict(self._rng.bit_generator.state)
        state["state"] = {"state": words[0] | words[1] << 64, "inc": words[2] | words[3] << 64}
        state["has_uint32"], state["uinteger"] = words[4], words[5]
        self._rng.bit_generator.state = state


def _by_slot(arrays: Arrays) -> Arrays:
    """Arrays of a snapshot whose rows went by item: those of items acted on, in order of appearance."""
    rows = arrays["acted"]
    return dict(arrays) | {
        "item": rows.astype(np.int32), "acted": np.arange(len(rows), dtype=np.int32),
        "inner": arrays["inner"][rows], "outer": arrays["outer"][rows],
        "steps": arrays["steps"][:, rows], "learnt": arrays["learnt"][rows],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class EmbeddingTouch:
    """The history's vector and the items nearest to it."""

    family: Embedding
    hidden: Vectors
    ids: Ids

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        if len(self.ids):
            self.family.score(self.hidden, union, out[0])
