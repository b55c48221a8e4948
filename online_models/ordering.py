"""The ordering head: a softmax over the candidates of a request, learnt from which of them was acted on.

``P(i | candidates) = exp(s_i) / sum_j exp(s_j)`` (conditional logit, McFadden 1974), ``s_i = x_i . w + f(x_i)``.
``w`` is the sum of shared weights and of weights crossed with the time gap, the pace and the length of the history;
``f`` is a small hidden layer. Both learn from the same softmax; the linear part alone sifts candidates. Adagrad with
fading sums (Duchi et al., 2011), so that it never stops adapting. It starts at weight 1 on proven sources, the floor,
and so is never much worse than those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from online_models import mlp
from online_models.base import Arrays
from online_models.candidates import Candidates
from online_models.features import BOUND, GAPS_MS, LENGTHS, Buckets, FeatureSchema, Rows, logged, worth

_GAPS = len(GAPS_MS) + 1
_CROSSES = 1 + 2 * _GAPS + len(LENGTHS) + 1
_MOST = 10_000_000
_START = 1.0  # of Adagrad's sums

Places = NDArray[np.intp]
Parameters = dict[str, NDArray[np.float32]]


class OrderingHead:
    """Scores candidates by learnt weights.

    Args:
        floor: features that begin at a weight, by name.
        rate: of Adagrad for the linear part, above 0.
        deep_rate: of Adagrad for the hidden layer, above 0.
        hidden: units of the hidden layer; 0 for none.
        half_life: of Adagrad's sums, in examples; how soon old gradients stop holding the step back.

    >>> head = OrderingHead(FeatureSchema.of(["popular"]), floor={"popular.score": 1.0})
    >>> head.parameters["linear"][0, 0]
    np.float32(1.0)
    """

    def __init__(
        self,
        schema: FeatureSchema,
        *,
        floor: Mapping[str, float],
        rate: float = 0.02,
        deep_rate: float = 0.05,
        hidden: int = 32,
        half_life: float = 200_000.0,
        seed: int = 0,
    ) -> None:
        if unknown := sorted(set(floor) - set(schema.names)):
            raise ValueError(f"floor must name features; {unknown} are none")
        if rate <= 0 or deep_rate <= 0 or half_life <= 0 or hidden < 0:
            raise ValueError("rate, deep_rate and half_life must be above 0, hidden at least 0")
        self.schema, self.hidden = schema, hidden
        width = len(schema.names)
        linear = np.zeros((_CROSSES, width), dtype=np.float32)
        for name, weight in floor.items():
            linear[0, schema.names.index(name)] = weight
        start: Parameters = {"linear": linear}
        if hidden:
            start["deep"] = mlp.initial(schema.logged, hidden, seed)
        # parameters, Adagrad's sums, sums of gradients and of their squares since last told: read and written at once
        self._state = {
            name: np.stack([p, np.full_like(p, _START), 0 * p, 0 * p]) for name, p in start.items()
        }
        self.parameters, self.squares, self._sums, self._sum_squares = (
            {name: state[k] for name, state in self._state.items()} for k in range(4)
        )
        self._layer = mlp.Layer(self.parameters["deep"], schema.logged, hidden) if hidden else None
        self._rates = {name: rate if name == "linear" else deep_rate for name in start}
        self._fade = 2.0 ** (-1.0 / half_life)
        self.examples = self.refused = self._since = 0

    # ------------------------------------------------------------------ answering

    def linear(self, features: Rows, buckets: Buckets) -> NDArray[np.float32]:
        """The linear part of the scores of some items, float32[n]."""
        out: NDArray[np.float32] = features @ self._weights(buckets)
        return out

    def sift(self, share: Rows, logs: Rows, of_item: Rows, buckets: Buckets) -> NDArray[np.float32]:
        """The same of many, float32[n]: what decides who becomes a candidate.

        The arguments are those of :func:`online_models.features.table`, whose rows of all items it spares.
        """
        return worth(self._weights(buckets), share, logs, of_item)

    def order(self, c: Candidates) -> NDArray[np.float64]:
        """Scores of the candidates, float64[n]; greater is better."""
        scores = self.linear(c.features, c.buckets)
        if self._layer is not None:
            scores = scores + self._layer.forward(logged(c.features))[0]
        return scores.astype(np.float64)

    def _weights(self, buckets: Buckets) -> NDArray[np.float32]:
        """The linear weights that count for a request, added up."""
        table = self.parameters["linear"]
        shared, gap, pace, length = _crosses(buckets)
        out: NDArray[np.float32] = table[shared] + table[gap]
        out += table[pace]
        out += table[length]
        return out

    def contributions(self, c: Candidates, row: int) -> dict[str, float]:
        """What each feature adds to a candidate's score, the largest first.

        The hidden layer is one entry, ``hidden``: its parts cannot be told apart.
        """
        parts = dict(
            zip(self.schema.names, (c.features[row] * self._weights(c.buckets)).tolist(), strict=True)
        )
        if self._layer is not None:
            parts["hidden"] = float(self._layer.forward(logged(c.features))[0][row])
        return dict(sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0])))

    # ------------------------------------------------------------------ learning

    def learn(self, c: Candidates, target: int) -> bool:
        """One of the candidates, ``target`` (an item), was acted on; False when it is not among them."""
        at = c.place(target)
        if at is None or len(c.ids) < 2:
            return False
        rows = np.array(_crosses(c.buckets), dtype=np.intp)
        scores: NDArray[np.float32] = c.features @ self._weights(c.buckets)
        gradients: Parameters = {}
        if self._layer is None:
            error = _error(scores, at)
        else:
            deep = logged(c.features)
            added, hidden = self._layer.forward(deep)
            error = _error(scores + added, at)
            gradients["deep"] = self._layer.gradient(deep, hidden, error)
        gradients["linear"] = error @ c.features
        if not all(math.isfinite(g @ g) for g in gradients.values()):
            self.refused += 1
            return False
        for name, gradient in gradients.items():
            self._step(name, gradient, rows if name == "linear" else None)
        self.examples += 1
        self._since += 1
        return True

    def _step(self, name: str, gradient: NDArray[np.float32], where: Places | None) -> None:
        """One step of Adagrad on some rows of the parameters, or on all of them."""
        state = self._state[name]
        part = state if where is None else state.take(where, axis=1)
        square = gradient * gradient
        squares = part[1]
        squares -= _START
        squares *= self._fade
        squares += _START
        squares += square
        part[0] -= self._rates[name] * gradient / np.sqrt(squares)
        part[2] += gradient
        part[3] += square
        if where is not None:
            state[:, where] = part

    # ------------------------------------------------------------------ exchange

    def take_delta(self) -> Arrays:
        """Gradient sums since the last call; empty when nothing was learnt."""
        if not self._since:
            return {}
        delta: Arrays = {f"gradient.{name}": g.copy() for name, g in self._sums.items()}
        delta |= {f"squares.{name}": s.copy() for name, s in self._sum_squares.items()}
        delta["examples"] = np.array([self._since], dtype=np.int64)
        for state in self._state.values():
            state[2:] = 0.0
        self._since = 0
        return delta

    def merge(self, delta: Arrays) -> bool:
        """Take in another head's :meth:`take_delta`; False (and counted) when it would do harm.

        Squares are added first and the step follows from their sum: adding weights of several heads inflates them.
        """
        if not self._harmless(delta):
            self.refused += 1
            return False
        for name in self.parameters:
            self.squares[name] += delta[f"squares.{name}"].astype(np.float32)
            step = self._rates[name] * delta[f"gradient.{name}"] / np.sqrt(self.squares[name])
            self.parameters[name] -= step.astype(np.float32)
        return True

    def _harmless(self, delta: Arrays) -> bool:
        n = delta.get("examples", np.zeros(1))
        if n.shape != (1,) or not 0 < n[0] <= _MOST:
            return False
        for name, parameter in self.parameters.items():
            g, s = delta.get(f"gradient.{name}"), delta.get(f"squares.{name}")
            if g is None or s is None or g.shape != parameter.shape or s.shape != parameter.shape:
                return False
            if not (np.isfinite(g).all() and np.isfinite(s).all() and (s >= 0).all()):
                return False
            # each feature lies within +-BOUND, a step of a softmax is at most 2 of them; hidden units grow with weights
            limit = 2 * BOUND if name == "linear" else 200 * BOUND
            if np.abs(g).max() > limit * float(n[0]) or (g * g > s * float(n[0]) * 1.001 + 1e-9).any():
                return False
        return True

    # ------------------------------------------------------------------ snapshots

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        groups = {
            "parameters": self.parameters, "squares": self.squares,
            "sums": self._sums, "sum_squares": self._sum_squares,
        }  # fmt: skip
        out: Arrays = {f"{g}.{name}": a.copy() for g, group in groups.items() for name, a in group.items()}
        out["counts"] = np.array([self.examples, self._since, self.refused], dtype=np.int64)
        return out

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays are of another schema.
        """
        for name, parameter in self.parameters.items():
            shape = arrays[f"parameters.{name}"].shape if f"parameters.{name}" in arrays else None
            if shape != parameter.shape:
                raise ValueError(f"{name} of shape {shape}, the schema needs {parameter.shape}")
        for name in self.parameters:  # in place: the layer looks at them
            self.parameters[name][...] = arrays[f"parameters.{name}"]
            self.squares[name][...] = arrays[f"squares.{name}"]
            self._sums[name][...] = arrays[f"sums.{name}"]
            self._sum_squares[name][...] = arrays[f"sum_squares.{name}"]
        self.examples, self._since, self.refused = (int(v) for v in arrays["counts"])


def _crosses(buckets: Buckets) -> tuple[int, int, int, int]:
    """The rows of the linear weights that count for a request."""
    return 0, 1 + buckets.gap, 1 + _GAPS + buckets.pace, 1 + 2 * _GAPS + buckets.length


def _error(scores: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    """The derivative of the softmax loss by each score."""
    out: NDArray[np.float32] = scores - scores.max()
    np.exp(out, out=out)
    out /= out.sum()
    out[target] -= 1.0
    return out
