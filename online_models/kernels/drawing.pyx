"""What one slot of a randomised slate is drawn by."""

from libc.math cimport INFINITY, exp, isfinite, rint

import numpy as np


def softmax(const double[::1] scores, const Py_ssize_t[::1] eligible, double temperature, double floor):
    """See the stub for what is given."""
    cdef Py_ssize_t n = eligible.shape[0], k
    cdef double best = -INFINITY, total = 0.0
    probabilities = np.empty(n, dtype=np.float64)
    cdef double[::1] out = probabilities
    for k in range(n):
        out[k] = scores[eligible[k]] if isfinite(scores[eligible[k]]) else -INFINITY
        best = out[k] if out[k] > best else best
    for k in range(n):
        out[k] = exp((out[k] - best) / temperature) if best > -INFINITY else 1.0  # nothing to go by: all alike
        total += out[k]
    for k in range(n):
        out[k] = (1.0 - floor) * (out[k] / total) + floor / n
    return probabilities


def stepped(const double[::1] nearest, double steps):
    """See the stub for what is given."""
    cdef Py_ssize_t n = nearest.shape[0], k
    cdef double step
    likeness = np.empty(n, dtype=np.float64)
    logged = np.empty(n, dtype=np.uint8)
    cdef double[::1] out = likeness
    cdef unsigned char[::1] held = logged
    for k in range(n):
        step = rint(min(max(nearest[k], 0.0), 1.0) * steps)
        out[k], held[k] = step / steps, <unsigned char> step
    return likeness, logged
