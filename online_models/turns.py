"""Whether a user has turned to other tastes: what was foretold of the slots seen against what was clicked.

A cumulative sum (Page, 1954) over slates of the log-likelihood of "only a quarter of the clicks foretold" against "as
foretold": with ``p`` foretold, a slot passed over adds ``ln((1 - p / 4) / (1 - p))``, about 0.75 p, and a click takes
``ln 4`` away. It is never below nothing, and when it reaches :data:`ENOUGH` what the user did before the sum began to
rise is history no longer. It follows the probabilities, and so means the same at any click rate and in any slot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

LEFT = 0.25
"""Share of the foretold clicks that a user whose tastes have changed is taken to make."""
ENOUGH = 300
"""Hundredths of log-likelihood: about four foretold clicks in a row that did not come."""
MOST = 100
"""That one slate can add: nobody turns in one visit, however long the slate."""
_SURE = 0.99


def evidence(slots: Iterable[tuple[float, bool]]) -> int:
    """What a slate says for other tastes, in hundredths of log-likelihood; (foretold, clicked) of each slot seen.

    >>> evidence([(0.2, False)] * 5), evidence([(0.2, False)] * 4 + [(0.2, True)])
    (86, -70)
    """
    total = 0.0
    for foretold, clicked in slots:
        p = min(max(foretold, 0.0), _SURE)
        total += math.log(LEFT) if clicked else math.log((1.0 - LEFT * p) / (1.0 - p))
    return min(round(100.0 * total), MOST)
