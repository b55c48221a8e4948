"""Log-odds bent and made probabilities, a few dozen at a time."""

from libc.math cimport exp, log

import numpy as np


def bends(
    const double[::1] logits, positions, const double[:, ::1] sums, double prior, double lowest, Py_ssize_t knots
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = logits.shape[0], last = sums.shape[0] - 1, k, at
    cdef double x
    cdef const Py_ssize_t[::1] place
    added = np.empty(n, dtype=np.float64)
    cdef double[::1] out = added
    cdef double[::1] said = np.empty(sums.shape[0], dtype=np.float64)
    for k in range(sums.shape[0]):
        said[k] = log(sums[k, 0] + prior) - log(sums[k, 1] + prior)
    for k in range(n):
        x = logits[k] - lowest
        x = min(x, knots - 1.0) if x > 0.0 else 0.0  # what is not a number stays so by what it is added to
        at = min(<Py_ssize_t> x, knots - 2)
        out[k] = said[at] + (x - at) * (said[at + 1] - said[at])
    if positions is not None:
        place = positions
        for k in range(n):
            out[k] += said[min(knots + place[k], last)]
    return added


def sigmoids(const double[::1] logits, double most):
    """See the stub for what is given."""
    cdef Py_ssize_t n = logits.shape[0], k
    probabilities = np.empty(n, dtype=np.float64)
    cdef double[::1] out = probabilities
    for k in range(n):
        out[k] = 1.0 / (1.0 + exp(-min(max(logits[k], -most), most)))
    return probabilities
