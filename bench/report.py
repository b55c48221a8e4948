"""What every benchmark prints and keeps: spreads, the machine, versions, settings; one JSON object."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "faust-streaming",
    "aiokafka",
    "redis",
    "river",
    "hnswlib",
    "numpy",
    "orjson",
    "uvloop",
    "pydantic",
)

Result = dict[str, Any]


def spread(values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """Median, least and greatest of repeats.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'min': 1.0, 'max': 3.0, 'repeats': 3}
    """
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "repeats": len(values),
    }


def percentile(values: Sequence[float], q: float) -> float:
    """The value that a share ``q`` (in percent) of the values does not exceed; nan for none.

    >>> percentile([5.0, 1.0, 2.0, 4.0, 3.0], 50)
    3.0
    """
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q / 100 * len(ordered)))]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def finished(name: str, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> Result:
    """A benchmark's figures with all that is needed to judge them."""
    versions = {package: version(package) for package in PACKAGES}
    return {
        "benchmark": name, **figures, "settings": dict(settings), "machine": machine(), "versions": versions,
    }  # fmt: skip


def keep(result: Result) -> Path:
    """Write a result to ``bench/results``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{result['benchmark']}.json"
    file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def show(result: Result, *, as_json: bool) -> None:
    """Print a result, for people or as one object."""
    if as_json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
        return
    print(f"== {result['benchmark']}")
    for name, value in _flat(result):
        print(f"  {name:<48} {value}")


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, Mapping) and "median" in inner:
            told = f"{inner['median']:g}  ({inner['min']:g} to {inner['max']:g}, {inner['repeats']} times)"
            lines.append((prefix + name, told))
        elif isinstance(inner, Mapping):
            lines += _flat(inner, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "benchmark":
            lines.append((prefix + name, inner))
    return lines
