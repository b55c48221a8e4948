"""Scores made finite and put in order, by a merge sort."""

from libc.math cimport INFINITY

import numpy as np


def ranked(const double[::1] scores, double sunk):
    """See the stub for what is given."""
    cdef Py_ssize_t n = scores.shape[0], k, width = 1, low
    finite = np.empty(n, dtype=np.float64)
    places = np.empty(n, dtype=np.intp)
    cdef double[::1] out = finite
    cdef Py_ssize_t[::1] place = places
    cdef Py_ssize_t[::1] order = np.empty(n, dtype=np.intp), merged = np.empty(n, dtype=np.intp)
    for k in range(n):
        out[k] = scores[k] if scores[k] > sunk and scores[k] < INFINITY else sunk  # not a number sinks too
        order[k] = k
    while width < n:
        for low in range(0, n, 2 * width):
            _merge(out, order, merged, low, min(low + width, n), min(low + 2 * width, n))
        order, merged = merged, order
        width *= 2
    for k in range(n):
        place[order[k]] = k
    return finite, places


cdef inline void _merge(
    const double[::1] value,
    const Py_ssize_t[::1] order,
    Py_ssize_t[::1] merged,
    Py_ssize_t low,
    Py_ssize_t middle,
    Py_ssize_t high,
) noexcept:
    """Two runs become one, the higher first, of equals that of the first run."""
    cdef Py_ssize_t a = low, b = middle, k
    for k in range(low, high):
        if b >= high or (a < middle and value[order[a]] >= value[order[b]]):
            merged[k] = order[a]
            a += 1
        else:
            merged[k] = order[b]
            b += 1
