"""The policies that can be asked about, by name: what a slot's conditional probabilities would have been."""

from __future__ import annotations

from online_models.bandit import EpsilonGreedy, Greedy, LinUCB, PlackettLuce, Policy, SquareCB, Thompson

KNOWN = "uniform, greedy, softmax:T, softmax:T:FLOOR, epsilon:E"
LOGGED = f"{KNOWN}, squarecb:GAMMA:FLOOR, thompson:FLOOR, linucb:WIDTH:FLOOR"


def policy_of(spec: str) -> Policy:
    """The policy of a name; ``plackett_luce`` is another word for ``softmax``.

    Raises:
        ValueError: there is no such policy, or a number is out of its range.

    >>> import numpy as np
    >>> policy_of("uniform").probabilities(np.array([0.0, 9.0]), np.array([0, 1])).tolist()
    [0.5, 0.5]
    >>> policy_of("softmax:0.5").temperature
    0.5
    """
    name, *given = spec.split(":")
    try:
        numbers = [float(text) for text in given]
    except ValueError:
        raise _unknown(spec) from None
    if name == "uniform" and not numbers:
        return PlackettLuce(floor=1.0)
    if name == "greedy" and not numbers:
        return Greedy()
    if name in ("softmax", "plackett_luce") and len(numbers) in (1, 2):
        return PlackettLuce(numbers[0], floor=numbers[1] if len(numbers) == 2 else 0.0)
    if name in ("epsilon", "epsilon_greedy") and len(numbers) == 1:
        return EpsilonGreedy(numbers[0])
    raise _unknown(spec)


def logging_policy(spec: str) -> Policy | None:
    """The policy a log names (its :attr:`online_models.bandit.Policy.spec`), None where that is not enough.

    >>> logging_policy("plackett_luce") is None, logging_policy("softmax:1:0.1").floor
    (True, 0.1)
    >>> logging_policy("squarecb:100:0.1").gamma, logging_policy("thompson:0.1").spec
    (100.0, 'thompson:0.1')
    """
    name, *given = spec.split(":")
    try:
        match name:
            case "squarecb":
                return SquareCB(*map(float, given))
            case "thompson":
                return Thompson(*map(float, given))
            case "linucb":
                return LinUCB(*map(float, given))
            case _:
                return policy_of(spec)
    except (TypeError, ValueError):
        return None


def _unknown(spec: str) -> ValueError:
    return ValueError(f"no such policy: {spec!r}; known are {KNOWN}")
