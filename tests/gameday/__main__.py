"""``make gameday``: each failure of the runbooks on a running stack, and whether its signal is seen.

``python -m tests.gameday [--quick]``; exit code 1 when a signal was not seen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.gameday.failures import FAILURES, NOT_PROVOKED
from tests.gameday.run import HEADER, line, play, quick
from tests.gameday.stack import Stack


def main() -> int:
    """Play, print a line as each signal is seen, and the sum."""
    parser = argparse.ArgumentParser(prog="make gameday", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the failures of the short form")
    failures = quick() if parser.parse_args().quick else FAILURES
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="freshet-gameday-") as folder, Stack(Path(folder)) as stack:
        print(
            f"broker, Redis, worker and API are up after {time.monotonic() - begun:.1f} s\n\n{HEADER}",
            flush=True,
        )
        rows = play(stack, failures, lambda row: print(line(row), flush=True))
    for runbook, why in NOT_PROVOKED.items():
        print(f"{'(not provoked)':<30} {runbook:<20} {why}")
    missed = sum(row.seen_s is None for row in rows)
    print(f"\n{len(rows) - missed} of {len(rows)} signals seen, {time.monotonic() - begun:.0f} s in all")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
