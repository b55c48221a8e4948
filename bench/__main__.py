"""``python -m bench NAME [--json] [--long]``: one benchmark, or ``all``; each starts what it needs."""

from __future__ import annotations

import argparse
import importlib
import time

from bench import report

NAMES = ("ingest", "freshness", "serve", "index", "memory", "growth", "workers")


def main() -> None:
    """Run, print, and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=("all", *NAMES))
    parser.add_argument("--json", action="store_true", help="print each result as one JSON object")
    parser.add_argument(
        "--long", action="store_true", help="the largest sizes too; takes the better part of an hour"
    )
    asked = parser.parse_args()
    for name in NAMES if asked.name == "all" else (asked.name,):
        begun = time.perf_counter()
        result = importlib.import_module(f"bench.{name}").run(long=asked.long)
        result["seconds"] = round(time.perf_counter() - begun, 1)
        report.keep(result)
        report.show(result, as_json=asked.json)


if __name__ == "__main__":
    main()
