"""The click head: P(click | features as served), a River pipeline that learns one labelled slot at a time.

It learns and answers by products of vectors, to the same numbers as River's own ``learn_one`` and ``predict_proba_one``
(a test holds both to 1e-9) in a fifth of the time.

Logistic regression under :class:`online_models.ftrl.DecayedFTRL`, over fixed and bounded inputs, so that what was
logged years ago still means the same. Slots that were shown are the only examples. Negatives are kept at a rate ``r``
and the model is trained at ``logit - ln r``, which makes the logit itself an unbiased estimate (King and Zeng, 2001).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import orjson
from numpy.typing import NDArray
from river import compose, linear_model

from online_models.base import Arrays
from online_models.ftrl import DecayedFTRL
from online_models.kernels import click as kernel
from online_models.posterior import posterior_heads, standard_errors

Rows = NDArray[np.float32]
BOUND = 5.0
"""Every input lies within plus and minus this."""
BIAS = "bias"
_POSITION_EDGES = (1, 2, 3, 4, 5, 7, 10, 15, 20)
_REACHED = np.searchsorted(_POSITION_EDGES, np.arange(_POSITION_EDGES[-1] + 1), side="right")
"""How many of the edges a position has reached; those behind the last are as it."""
_OTHER = "other"
_MOST_EXAMPLES = 10_000_000


def keep_negative(row: Rows, item: int, rate: float) -> bool:
    """Whether this negative is among the share ``rate`` that is learnt.

    It depends on the slot alone, so that a late click finds out whether there is a negative to unlearn.

    >>> row = np.zeros(3, dtype=np.float32)
    >>> keep_negative(row, 1, 1.0), keep_negative(row, 1, 1e-9)
    (True, False)
    """
    if rate >= 1.0:
        return True
    digest = blake2b(row.tobytes(), digest_size=8, salt=(item & (2**64 - 1)).to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < rate * 2.0**64


class ClickRanker:
    """P(click) from a row of features, a position and a surface.

    Args:
        features: their names, in the order of the rows.
        log_features: those that enter as ``sign(x) * log(1 + |x|)`` (counts, ages); all are clipped to +-``BOUND``.
        surfaces: those with a term of their own; any other shares one.
        negative_rate: the share of negatives that is learnt, in (0, 1].
        prior_rate: the click rate before anything is learnt, in (0, 1).
        alpha: the step of FTRL, above 0.
        half_life_ms: of FTRL's accumulators, ms; ``None`` never forgets.

    >>> ranker = ClickRanker(["match"], alpha=0.5)
    >>> good, bad = np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
    >>> for k in range(200):
    ...     ranker.learn(good, True, ts=k)
    ...     ranker.learn(bad, False, ts=k)
    >>> ranker.predict_many(np.stack([good, bad])).round(1).tolist()
    [0.9, 0.1]
    """

    def __init__(
        self,
        features: Sequence[str],
        *,
        log_features: Iterable[str] = (),
        surfaces: Sequence[str] = ("default",),
        negative_rate: float = 1.0,
        prior_rate: float = 0.05,
        alpha: float = 0.05,
        half_life_ms: int | None = 7 * 86_400_000,
    ) -> None:
        if not 0 < negative_rate <= 1:
            raise ValueError(f"negative_rate must be in (0, 1], not {negative_rate}")
        if not 0 < prior_rate < 1:
            raise ValueError(f"prior_rate must be in (0, 1), not {prior_rate}")
        self.features = tuple(features)
        self._positions = tuple(f"position>={edge}" for edge in _POSITION_EDGES)
        self.surfaces = tuple(surfaces)
        extra = (*self._positions, *(f"surface={s}" for s in (*self.surfaces, _OTHER)), BIAS)
        names = (*self.features, *extra)
        if len(set(names)) != len(names):
            raise ValueError(
                "features and surfaces must have names of their own, none twice, none like " + BIAS
            )
        unknown = set(log_features) - set(self.features)
        if unknown:
            raise ValueError(f"log_features must be among features, not {sorted(unknown)}")
        self._log = np.array([name in set(log_features) for name in self.features], dtype=bool)
        self.negative_rate, self.prior_rate = negative_rate, prior_rate
        self.names = names
        self.optimizer = DecayedFTRL(names, alpha=alpha, half_life_ms=half_life_ms)
        self._regression = linear_model.LogisticRegression(self.optimizer, intercept_lr=0.0)
        self._pipeline = compose.Pipeline(
            ("design", compose.FuncTransformer(self._design)), ("click", self._regression)
        )
        self._place_of = {
            s: len(self.features) + len(self._positions) + k for k, s in enumerate((*self.surfaces, _OTHER))
        }
        self._told = True  # River's own copy of the weights is as new as ours
        self.examples = self._since_delta = self.refused = 0
        self._set_weights({BIAS: math.log(prior_rate / (1 - prior_rate))})

    @property
    def pipeline(self) -> compose.Pipeline:
        """The same model as River's, weights included: for whoever wants to ask or take it as such."""
        if not self._told:
            self._publish()
        return self._pipeline

    # ------------------------------------------------------------------ inputs

    def vector(self, row: Rows, position: int = 0, surface: str = "default") -> NDArray[np.float64]:
        """One example as the weights see it, float64[d]: what River's pipeline makes of :meth:`raw`."""
        x = np.zeros(len(self.names))
        width = len(self.features)
        x[:width] = self._bounded(row)
        x[width : width + bisect_right(_POSITION_EDGES, position)] = 1.0
        x[self._place_of.get(surface, len(x) - 2)] = 1.0
        x[-1] = 1.0
        return x

    def logit(self, row: Rows, position: int = 0, surface: str = "default") -> float:
        """Log-odds of a click on one row, as :meth:`logits` has it."""
        return float(self.optimizer.weights @ self.vector(row, position, surface))

    def raw(self, row: Rows, position: int = 0, surface: str = "default") -> dict[str, float | str]:
        """One example as River's pipeline takes it."""
        x: dict[str, float | str] = dict(zip(self.features, self._bounded(row).tolist(), strict=True))
        x["position"], x["surface"] = position, surface
        return x

    def _design(self, x: dict[str, float | str]) -> dict[str, float]:
        out: dict[str, float] = dict(x)  # type: ignore[arg-type]  # the two others are taken out next
        position, surface = int(out.pop("position")), str(out.pop("surface"))
        out[f"surface={surface if surface in self.surfaces else _OTHER}"] = 1.0
        for edge, name in zip(_POSITION_EDGES, self._positions, strict=True):
            if position < edge:
                break
            out[name] = 1.0
        out[BIAS] = 1.0
        return out

    def _bounded(self, rows: Rows) -> NDArray[np.float64]:
        x = rows.astype(np.float64)
        if self._log.any():
            x[..., self._log] = np.sign(x[..., self._log]) * np.log1p(np.abs(x[..., self._log]))
        x[np.isnan(x)] = 0.0
        return np.clip(x, -BOUND, BOUND, out=x)

    # ------------------------------------------------------------------ learning

    def learn(
        self, row: Rows, clicked: float, *, ts: int, position: int = 0, surface: str = "default",
        offset: float = 0.0,
    ) -> None:  # fmt: skip
        """Learn one shown slot; negatives were kept at ``negative_rate`` by the caller (:func:`keep_negative`).

        ``clicked`` may be a share: with all negatives kept its mean is what is learnt. ``offset`` is what is known of
        the log-odds already; the rest is learnt.

        A row of another length or with a value that is not finite is left out and counted in ``refused``.
        """
        if self._accepts(row):
            self._learn(self.vector(row, position, surface), clicked, 1.0, ts, offset)

    def learn_correction(
        self,
        row: Rows,
        *,
        ts: int,
        position: int = 0,
        surface: str = "default",
        negative_kept: bool = True,
        value: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        """A click came after its slot was learnt as a negative: unlearn that, learn a positive (or ``value`` of one).

        At the current weights the two gradients differ by the input itself, whatever was predicted.
        """
        if not self._accepts(row):
            return
        x = self.vector(row, position, surface)
        p = min(self._sampled(x, offset), 1 - 1e-12) if negative_kept else 0.0
        self._learn(x, True, value / (1.0 - p), ts, offset)

    def _learn(self, x: NDArray[np.float64], clicked: float, w: float, ts: int, offset: float = 0.0) -> None:
        """What ``pipeline.learn_one`` does with an intercept of ``-ln negative_rate``, without its dicts."""
        self.optimizer.learn(x * (w * (self._sampled(x, offset) - clicked)), ts)
        self._told = False
        self.examples += 1
        self._since_delta += 1

    def _sampled(self, x: NDArray[np.float64], offset: float = 0.0) -> float:
        """P(click) among the sampled examples."""
        logit = float(self.optimizer.weights @ x) + offset - math.log(self.negative_rate)
        return 1.0 / (1.0 + math.exp(-max(logit, -700.0)))

    def _accepts(self, row: Rows) -> bool:
        if row.shape == (len(self.features),) and np.isfinite(row).all():
            return True
        self.refused += 1
        return False

    # ------------------------------------------------------------------ answering

    def logits(
        self, rows: Rows, positions: int | NDArray[np.int_] = 0, surface: str = "default"
    ) -> NDArray[np.float64]:
        """Log-odds of a click for rows float32[n, F]; a value that is not a number counts as 0. float64[n]."""
        w = self.optimizer.weights
        width, edges = len(self.features), len(_POSITION_EDGES)
        steps = np.zeros(edges + 1)
        w[width : width + edges].cumsum(out=steps[1:])
        by_position = steps.take(_REACHED.take(positions, mode="clip"))
        if self._log.any():
            out: NDArray[np.float64] = self._bounded(rows) @ w[:width] + self.constant(surface) + by_position
            return out
        return kernel.logits(np.ascontiguousarray(rows), w[:width], self.constant(surface)) + by_position

    def constant(self, surface: str = "default") -> float:
        """What a surface adds to the log-odds of every row in the first slot."""
        w = self.optimizer.weights
        return float(w[-1] + w[self._place_of.get(surface, len(w) - 2)])

    def predict_many(
        self, rows: Rows, positions: int | NDArray[np.int_] = 0, surface: str = "default"
    ) -> NDArray[np.float64]:
        """P(click) for rows float32[n, F] by one product; equal to River's ``predict_proba_one``. float64[n]."""
        out: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-self.logits(rows, positions, surface)))
        return out

    def head_logits(self, rows: Rows, *, heads: int = 64, seed: int = 0) -> NDArray[np.float64]:
        """Log-odds by draws from the posterior of the feature weights, for Thompson sampling; float64[heads, n].

        Position and surface are common to all candidates of a slot and left out.
        """
        width = len(self.features)
        weights, information = self.optimizer.weights[:width], self.optimizer.total()[:width]
        drawn = posterior_heads(weights, information, heads=heads, seed=seed)
        out: NDArray[np.float64] = drawn @ self._bounded(rows).T
        return out

    def logit_errors(self, rows: Rows) -> NDArray[np.float64]:
        """The posterior standard error of each row's log-odds, for upper confidence bounds; float64[n]."""
        return standard_errors(self._bounded(rows), self.optimizer.total()[: len(self.features)])

    def contributions(
        self, row: Rows, position: int = 0, surface: str = "default"
    ) -> list[tuple[str, float]]:
        """What each input adds to the log-odds, largest first; they sum to the logit."""
        x = self._design(self.raw(row, position, surface))
        weights = dict(zip(self.names, self.optimizer.weights.tolist(), strict=True))
        parts = [(name, value * weights[name]) for name, value in x.items()]
        return sorted(parts, key=lambda part: (-abs(part[1]), part[0]))

    @property
    def evidence(self) -> float:
        """About how many clicks the weights rest on: the fading sum of squared errors, others' included."""
        return float(self.optimizer.total()[-1])

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> Arrays:
        """What was learnt here since the last call, as gradient sums; empty when nothing was."""
        if not self._since_delta:
            return {}
        delta = self._pending()
        self._forget_pending()
        return delta

    def merge(self, delta: Arrays) -> bool:
        """Take in another learner's :meth:`take_delta`; False (and counted in ``refused``) if it would do harm.

        The squared gradients are added first and the step follows from the merged sum: adding the weights or
        FTRL's own state of several learners would inflate them.
        """
        if not delta:
            return True
        if not self._harmless(delta):
            self.refused += 1
            return False
        squares = dict(zip(delta["landmarks"].tolist(), delta["squares"], strict=True))
        self.optimizer.merge(delta["gradient"].astype(np.float64), squares, int(delta["now"][0]))
        self._publish()
        return True

    def arrays(self) -> Arrays:
        """Weights, accumulators and what is not yet told to others: a restored learner continues identically."""
        marks = sorted(self.optimizer.squares)
        return {
            "names": _as_bytes(list(self.names)),
            "weights": self.optimizer.weights.copy(),
            "landmarks": np.array(marks, dtype=np.int64),
            "squares": _stack([self.optimizer.squares[mark] for mark in marks], len(self.names)),
            "clock": np.array([self.optimizer.now, self.examples], dtype=np.int64),
            **{f"delta_{name}": array for name, array in self._pending().items()},
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave; a feature that is new starts at 0, one that is gone is dropped."""
        held = {name: k for k, name in enumerate(orjson.loads(arrays["names"].tobytes()))}
        at = np.array([held.get(name, -1) for name in self.names])

        def mapped(array: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(at >= 0, array[..., at], 0.0)

        optimizer = self.optimizer
        optimizer.weights = mapped(arrays["weights"])
        optimizer.squares = dict(zip(arrays["landmarks"].tolist(), mapped(arrays["squares"]), strict=True))
        optimizer.gradient = mapped(arrays["delta_gradient"])
        fresh = zip(arrays["delta_landmarks"].tolist(), mapped(arrays["delta_squares"]), strict=True)
        optimizer.fresh_squares = dict(fresh)
        optimizer.now, self.examples = (int(n) for n in arrays["clock"])
        self._since_delta = int(arrays["delta_examples"][0])
        self._publish()

    def _pending(self) -> Arrays:
        marks = sorted(self.optimizer.fresh_squares)
        return {
            "gradient": self.optimizer.gradient.copy(),
            "landmarks": np.array(marks, dtype=np.int64),
            "squares": _stack([self.optimizer.fresh_squares[mark] for mark in marks], len(self.names)),
            "examples": np.array([self._since_delta], dtype=np.int64),
            "now": np.array([self.optimizer.now], dtype=np.int64),
        }

    def _forget_pending(self) -> None:
        self.optimizer.gradient = np.zeros(len(self.names))
        self.optimizer.fresh_squares = {}
        self._since_delta = 0

    def _harmless(self, delta: Arrays) -> bool:
        try:
            gradient, squares, examples = delta["gradient"], delta["squares"], int(delta["examples"][0])
            marks, now = delta["landmarks"].tolist(), int(delta["now"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        width = len(self.names)
        if gradient.shape != (width,) or squares.shape != (len(marks), width) or now < 0:
            return False
        if not (np.isfinite(gradient).all() and np.isfinite(squares).all() and (squares >= 0).all()):
            return False
        # one example moves a coordinate by at most |input| <= BOUND
        return 0 < examples <= _MOST_EXAMPLES and bool(np.abs(gradient).max() <= BOUND * examples + 1e-6)

    def _set_weights(self, weights: dict[str, float]) -> None:
        self.optimizer.weights = np.array([weights.get(name, 0.0) for name in self.names])
        self._publish()

    def _publish(self) -> None:
        """River's own copy of the weights follows the optimiser's."""
        weights = zip(self.names, self.optimizer.weights.tolist(), strict=True)
        self._regression._weights.update(dict(weights))
        self._told = True


def _stack(rows: Sequence[NDArray[np.float64]], width: int) -> NDArray[np.float64]:
    return np.stack(rows) if rows else np.zeros((0, width))


def _as_bytes(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(orjson.dumps(value), dtype=np.uint8)
