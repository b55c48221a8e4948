"""Curves of quality over a stream; needs matplotlib (``pip install freshet[plot]``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def windowed(ranks: Sequence[float], k: int, window: int) -> list[float]:
    """Share of ranks below ``k`` in each whole window.

    >>> windowed([0, 50, 3, 4], k=10, window=2)
    [0.5, 1.0]
    """
    hits = np.array(ranks) < k
    whole = len(hits) // window * window
    return [float(part.mean()) for part in hits[:whole].reshape(-1, window)] if whole else []


def plot_curves(ranks: Mapping[str, Sequence[float]], k: int, file: Path, title: str) -> None:
    """Draw each arm's windowed share of hits into ``file`` (its suffix says the format).

    Raises:
        ImportError: matplotlib is not installed; the text says how to.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'freshet[plot]'") from error
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    window = max(1, max((len(r) for r in ranks.values()), default=1) // 20)
    for name, values in ranks.items():
        curve = windowed(values, k, window)
        axes.plot([window * (n + 1) for n in range(len(curve))], curve, label=name)
    axes.set(xlabel="scored events", ylabel=f"{title}, windows of {window}", ylim=(0, None))
    axes.legend()
    figure.savefig(file)
