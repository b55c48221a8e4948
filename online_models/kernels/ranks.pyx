"""Scores made finite and put in order."""

from libc.math cimport INFINITY

import numpy as np


def ranked(const double[::1] scores, double sunk):
    """See the stub for what is given."""
    cdef Py_ssize_t n = scores.shape[0], k
    finite = np.empty(n, dtype=np.float64)
    lowered = np.empty(n, dtype=np.float64)
    cdef double[::1] out = finite, least = lowered
    for k in range(n):
        out[k] = scores[k] if scores[k] > sunk and scores[k] < INFINITY else sunk  # not a number sinks too
        least[k] = -out[k]
    places = np.empty(n, dtype=np.intp)
    if not _placed(lowered.argsort(), out, places):  # the faster sort leaves equals in any order
        _placed(lowered.argsort(kind="stable"), out, places)
    return finite, places


cdef bint _placed(const Py_ssize_t[::1] order, const double[::1] value, Py_ssize_t[::1] place):
    """Write each one's place in an order; whether there are no two of the same value."""
    cdef Py_ssize_t k
    cdef bint distinct = True
    for k in range(order.shape[0]):
        place[order[k]] = k
        if k:
            distinct &= value[order[k]] != value[order[k - 1]]
    return distinct
