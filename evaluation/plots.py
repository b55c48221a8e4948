"""Curves of quality over a stream; needs matplotlib (``pip install freshet[plot]``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from online_models.errors import FreshetError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PlotUnavailable(FreshetError):
    """Nothing can be drawn into the file that was asked for; the text says why."""


def check_plot(file: Path | None) -> None:
    """Find out before a long run whether its plot can be drawn at the end.

    Raises:
        PlotUnavailable: matplotlib is not installed, the folder is missing, or the suffix is of no picture.
    """
    if file is None:
        return
    if find_spec("matplotlib") is None:
        raise PlotUnavailable("plots need matplotlib: pip install 'freshet[plot]'")
    if not file.parent.is_dir():
        raise PlotUnavailable(f"{file.parent}: there is no such folder to draw {file.name} into")
    if file.suffix not in (".svg", ".png", ".pdf"):
        raise PlotUnavailable(f"{file.name}: the suffix must be .svg, .png or .pdf")


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
        PlotUnavailable: as :func:`check_plot`.
    """
    check_plot(file)
    figure = _figure()
    axes = figure.add_subplot()
    window = max(1, max((len(r) for r in ranks.values()), default=1) // 20)
    for name, values in ranks.items():
        curve = windowed(values, k, window)
        axes.plot([window * (n + 1) for n in range(len(curve))], curve, label=name)
    axes.set(xlabel="scored events", ylabel=f"{title}, windows of {window}", ylim=(0, None))
    axes.legend()
    _save(figure, file)


def plot_steps(values: Mapping[str, float], file: Path, *, xlabel: str, ylabel: str) -> None:
    """Draw one value for each of some named steps into ``file``.

    Raises:
        PlotUnavailable: as :func:`check_plot`.
    """
    check_plot(file)
    figure = _figure()
    axes = figure.add_subplot()
    axes.plot(list(values), list(values.values()), marker="o")
    for name, value in values.items():
        axes.annotate(f"{value:.3f}", (name, value), textcoords="offset points", xytext=(0, 8), ha="center")
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.15 * max(values.values(), default=1.0) or 1.0))
    _save(figure, file)


def plot_lines(
    x: Sequence[float], lines: Mapping[str, Sequence[float]], file: Path, xlabel: str, ylabel: str
) -> None:
    """Draw some named lines over the same ``x`` into ``file``.

    Raises:
        PlotUnavailable: as :func:`check_plot`.
    """
    check_plot(file)
    figure = _figure()
    axes = figure.add_subplot()
    for name, values in lines.items():
        axes.plot(x, values, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    axes.legend()
    _save(figure, file)


def plot_panels(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    file: Path,
    *,
    xlabel: str,
) -> None:
    """Draw panels, two in a row, of several arms; each arm's runs are thin lines around their mean.

    Args:
        panels: title to arm to runs, each as long as ``x``.

    Raises:
        PlotUnavailable: as :func:`check_plot`.
    """
    check_plot(file)
    rows = (len(panels) + 1) // 2
    figure = _figure(height=2.6 * rows)
    for axes, (title, arms) in zip(np.ravel(figure.subplots(rows, 2)), panels.items(), strict=False):
        for k, (arm, runs) in enumerate(arms.items()):
            axes.plot(x, np.mean(runs, axis=0), color=f"C{k}", label=arm)
            for run in runs:
                axes.plot(x, run, color=f"C{k}", linewidth=0.5, alpha=0.5)
        axes.set_title(title, fontsize="small")
        axes.set(xlabel=xlabel, ylim=(0, None))
    figure.axes[0].legend(fontsize="small")
    _save(figure, file)


def _figure(height: float = 4.5) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(8, height), layout="constrained")


def _save(figure: Figure, file: Path) -> None:
    """The same figures give the same file: no date, no random names."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "freshet"}):
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
