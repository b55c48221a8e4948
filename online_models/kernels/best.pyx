"""The few best of many, without sorting the rest."""

from cython cimport floating
from libc.math cimport isfinite

import numpy as np


def best(const int[::1] ids, const floating[::1] scores, Py_ssize_t n):
    """See the stub for what is given."""
    cdef Py_ssize_t k, held = 0
    n = max(min(n, ids.shape[0]), 0)
    items = np.empty(n, dtype=np.int32)
    values = np.empty(n, dtype=np.float64)
    cdef int[::1] room_for_items = items
    cdef double[::1] room_for_values = values
    if n == 0 or ids.shape[0] == 0:
        return items, values.astype(np.float32)
    cdef int* item = &room_for_items[0]
    cdef double* value = &room_for_values[0]
    cdef double score
    for k in range(ids.shape[0]):
        score = scores[k]
        if not score > 0.0 or not isfinite(score):
            continue
        if held < n:
            item[held], value[held] = ids[k], score
            held += 1
            _rise(item, value, held - 1)
        elif _before(ids[k], score, item[0], value[0]):
            item[0], value[0] = ids[k], score
            _sink(item, value, 0, held)
    for k in range(held - 1, 0, -1):  # the last of the heap goes behind it, until all stand best first
        item[0], item[k] = item[k], item[0]
        value[0], value[k] = value[k], value[0]
        _sink(item, value, 0, k)
    return items[:held], values[:held].astype(np.float32)


cdef inline bint _before(int item, double value, int other, double than) noexcept:
    """Whether one item comes before another: the higher, among equals the lower id."""
    return value > than or (value == than and item < other)


cdef void _rise(int* item, double* value, Py_ssize_t k) noexcept:
    """A heap with the last of all on top: the new one finds its place."""
    cdef Py_ssize_t up
    while k:
        up = (k - 1) // 2
        if not _before(item[up], value[up], item[k], value[k]):
            return
        item[up], item[k] = item[k], item[up]
        value[up], value[k] = value[k], value[up]
        k = up


cdef void _sink(int* item, double* value, Py_ssize_t k, Py_ssize_t size) noexcept:
    cdef Py_ssize_t down
    while True:
        down = 2 * k + 1
        if down >= size:
            return
        if down + 1 < size and _before(item[down], value[down], item[down + 1], value[down + 1]):
            down += 1
        if not _before(item[k], value[k], item[down], value[down]):
            return
        item[down], item[k] = item[k], item[down]
        value[down], value[k] = value[k], value[down]
        k = down
