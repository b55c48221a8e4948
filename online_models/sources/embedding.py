"""A sequence embedding: an item's vector predicts what is acted on next (skip-gram with negative sampling, online).

``P(next = j | history) = sigmoid(h . c_j)`` with ``h = sum_k fade^k v_k`` over the last items, learnt against sampled
negatives by Adagrad (Mikolov et al., 2013; Duchi et al., 2011). Negatives are drawn from a ring of past targets, so in
proportion to how often items are acted on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.index import VectorIndex


class Embedding:
    """Vectors learnt from one interaction at a time; retrieval by the vector index.

    Args:
        dims: length of a vector; negatives: drawn per interaction; last: items of the history that count;
        rate: of Adagrad; ring: past targets that negatives are drawn from; seed: of everything random.
        settle: an item's place in the index is renewed when it was learnt so many times since.
    """

    def __init__(
        self,
        name: str = "embedding",
        *,
        dims: int = 32,
        negatives: int = 20,
        last: int = 5,
        fade: float = 0.8,
        rate: float = 0.1,
        ring: int = 20_000,
        settle: int = 8,
        seed: int = 0,
    ) -> None:
        if min(dims, negatives, last, ring, settle) < 1 or rate <= 0:
            raise ValueError("dims, negatives, last, ring and settle must be at least 1, rate above 0")
        self.name, self.dims, self.negatives, self.last, self.rate = name, dims, negatives, last, rate
        self.fades = fade ** np.arange(last)
        self.settle = settle
        self.index = VectorIndex(dims, seed=seed)
        self._rng = np.random.default_rng(seed)
        self._inner = np.zeros((0, dims), dtype=np.float32)
        self._outer = np.zeros((0, dims), dtype=np.float32)
        self._steps = np.zeros((0, 2), dtype=np.float32)  # Adagrad's sums, one per vector
        self._learnt = np.zeros(0, dtype=np.int32)
        self._ring = np.zeros(ring, dtype=np.int32)
        self._ringed = 0

    def _room(self, item: int) -> None:
        size = len(self._learnt)
        if item < size:
            return
        more = max(256, 2 * size, item + 1) - size
        start = self._rng.normal(0.0, 0.1, (more, self.dims)).astype(np.float32)
        self._inner = np.concatenate([self._inner, start])
        self._outer = np.concatenate([self._outer, np.zeros((more, self.dims), dtype=np.float32)])
        self._steps = np.concatenate([self._steps, np.full((more, 2), 1e-2, dtype=np.float32)])
        self._learnt = np.concatenate([self._learnt, np.zeros(more, dtype=np.int32)])

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        recent = [r for r in x.recent[: self.last] if r != x.item]
        self._room(max((x.item, *recent)))
        self._ring[self._ringed % len(self._ring)] = x.item
        self._ringed += 1
        if not recent:
            return
        held = np.array(recent)
        fades = self.fades[: len(held)].astype(np.float32)
        hidden = fades @ self._inner[held]
        drawn = self._ring[self._rng.integers(0, min(self._ringed, len(self._ring)), self.negatives)]
        targets = np.concatenate([[x.item], np.unique(drawn[drawn != x.item])])
        outer = self._outer[targets]
        wrong = 1.0 / (1.0 + np.exp(-np.clip(outer @ hidden, -30, 30)))
        wrong[0] -= 1.0
        back = wrong @ outer
        self._step(self._outer, targets, wrong[:, None] * hidden[None, :], 1)
        uniq, at = np.unique(held, return_index=True)
        self._step(self._inner, uniq, fades[at][:, None] * back[None, :], 0)
        self._settle(np.append(uniq, x.item))

    def _step(
        self, table: NDArray[np.float32], rows: NDArray[np.int_], gradient: NDArray[np.float32], which: int
    ) -> None:
        self._steps[rows, which] += np.mean(gradient * gradient, axis=1)
        table[rows] -= self.rate * gradient / np.sqrt(self._steps[rows, which])[:, None]

    def _settle(self, rows: NDArray[np.int_]) -> None:
        self._learnt[rows] += 1
        due = rows[(self._learnt[rows] == 1) | (self._learnt[rows] >= self.settle)]
        if len(due):
            self._learnt[due] = 1
            self.index.upsert(due, self._outer[due] + self._inner[due])
        if self.index.due:
            self.index.rebuild()

    def user_vector(self, recent: tuple[int, ...]) -> NDArray[np.float32]:
        """The history's vector; zeros for one unknown."""
        held = [i for i in recent[: self.last] if i < len(self._learnt)]
        if not held:
            return np.zeros(self.dims, dtype=np.float32)
        hidden: NDArray[np.float32] = self.fades[: len(held)].astype(np.float32) @ self._inner[held]
        return hidden

    def retrieve(self, query: Query, n: int) -> tuple[Ids, Scores]:
        """At most ``n`` items by cosine with the history's vector, best first."""
        return self.index.search(self.user_vector(query.recent), n)

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        self.index.remove(item)

    def arrays(self) -> Arrays:
        """Everything, as arrays; the generator's state too, so that a restored one continues alike."""
        state = self._rng.bit_generator.state["state"]
        words = [state[k] >> (64 * w) & (2**64 - 1) for k in ("state", "inc") for w in (0, 1)]
        index = {f"index_{name}": array for name, array in self.index.arrays().items()}
        return {
            **index,
            "inner": self._inner.copy(),
            "outer": self._outer.copy(),
            "steps": self._steps.copy(),
            "learnt": self._learnt.copy(),
            "ring": self._ring.copy(),
            "ringed": np.array([self._ringed], dtype=np.int64),
            "rng": np.array(words, dtype=np.uint64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.index.load({"vectors": arrays["index_vectors"], "live": arrays["index_live"]})
        self._inner, self._outer = arrays["inner"].copy(), arrays["outer"].copy()
        self._steps, self._learnt = arrays["steps"].copy(), arrays["learnt"].copy()
        self._ring, self._ringed = arrays["ring"].copy(), int(arrays["ringed"][0])
        words = [int(w) for w in arrays["rng"]]
        state = dict(self._rng.bit_generator.state)
        state["state"] = {"state": words[0] | words[1] << 64, "inc": words[2] | words[3] << 64}
        state["has_uint32"], state["uinteger"] = 0, 0
        self._rng.bit_generator.state = state
