"""The demo's live table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streams.demo_watch import Shown, Watch

if TYPE_CHECKING:
    from rich.console import RenderableType

SLOTS = 6


def table(
    figures: Mapping[str, Any], watch: Watch, *, where: str, titles: Mapping[str, str]
) -> RenderableType:
    """All figures as of now."""
    from rich.console import Group
    from rich.table import Table

    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        *(f"[bold]{name}[/]" for name in ("events/s", "events", "recommendations", "freshness p50 / p99"))
    )
    grid.add_row(
        _n(figures["events_per_s"]), _n(figures["events"]), _n(figures["recommendations"]),
        f"{_ms(figures['freshness_p50_ms'])} / {_ms(figures['freshness_p99_ms'])}",
    )  # fmt: skip
    rates = Table.grid(padding=(0, 3))
    rates.add_row(*(f"[bold]{name}[/]" for name in ("click rate of", "freshet", "popularity", "random")))
    rates.add_row("", *(_rate(figures[f"ctr_{arm}"]) for arm in ("policy", "popular", "random")))
    rates.add_row(
        "lately", *(_rate(figures.get(f"ctr_{arm}_lately")) for arm in ("policy", "popular", "random"))
    )
    return Group(
        f"[bold]freshet[/]  {where}", "", grid, "", rates, "", *_user(watch.shown, titles), "", *_signals(watch),
        f"dead letters {figures['dead_letters']}",
    )  # fmt: skip


def _user(shown: Shown, titles: Mapping[str, str]) -> list[str]:
    def named(item: str, known: list[str]) -> str:
        text = titles.get(item) or item
        return text if item in known else f"[green]{text}[/]"

    if not shown.user_id:
        return ["no slate yet"]
    before = ", ".join(titles.get(item) or item for item in shown.before[:SLOTS])
    after = ", ".join(named(item, shown.before) for item in shown.after[:SLOTS])
    clicked = titles.get(shown.clicked) or shown.clicked or "..."
    took = f" ({shown.freshness_ms} ms)" if shown.freshness_ms is not None else ""
    return [
        f"[bold]{shown.user_id}[/] before  {before}",
        f"{' ' * len(shown.user_id)} clicked [cyan]{clicked}[/]",
        f"{' ' * len(shown.user_id)} after   {after}{took}",
    ]


def _signals(watch: Watch) -> list[str]:
    latest = [
        f"[yellow]drift[/] {s.get('name')}  {s.get('severity')}  {s.get('detector')}  {_change(s)}"
        for s in list(watch.signals)[-3:]
    ]
    return latest or ["no drift signal yet"]


def _change(signal: Mapping[str, Any]) -> str:
    evidence = signal.get("evidence", {})
    if "before" in evidence:
        return f"{evidence['before']:.3f} -> {evidence['after']:.3f}"
    return f"{signal.get('statistic', 0.0):.3f}"


def _n(value: float) -> str:
    return f"{value:,.0f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
