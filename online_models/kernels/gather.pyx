"""Values of some items out of tables of all, with what is done to each on the way."""

from libc.math cimport sqrtf
from libc.stdint cimport int64_t

import numpy as np


def fit(const int[::1] ids, const int[:, ::1] tags, const float[::1] scale, const float[::1] weights):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, j
    cdef int item
    cdef float total
    fits = np.zeros(n, dtype=np.float32)
    cdef float[::1] out = fits
    for k in range(n):
        item = ids[k]
        if item >= scale.shape[0] or scale[item] == 0.0:
            continue
        total = 0.0
        for j in range(tags.shape[1]):
            if tags[item, j] < 0:
                break
            total += weights[tags[item, j]]
        out[k] = total * scale[item]
    return fits


def dots(
    const float[:, ::1] table,
    const unsigned char[::1] known,
    const int[::1] ids,
    const float[::1] vector,
    float unknown,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], dims = table.shape[1], k, j
    cdef int item
    cdef float total
    products = np.empty(n, dtype=np.float32)
    cdef float[::1] out = products
    for k in range(n):
        item = ids[k]
        if item >= known.shape[0] or not known[item]:
            out[k] = unknown
            continue
        total = 0.0
        for j in range(dims):
            total += table[item, j] * vector[j]
        out[k] = total
    return products


def unit_rows(const float[:, ::1] table, const unsigned char[::1] known, const int[::1] ids):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], dims = table.shape[1], k, j
    cdef int item
    cdef float total
    rows = np.zeros((n, dims), dtype=np.float32)
    cdef float[:, ::1] out = rows
    for k in range(n):
        item = ids[k]
        if item >= known.shape[0] or not known[item]:
            continue
        total = 0.0
        for j in range(dims):
            total += table[item, j] * table[item, j]
        total = 1.0 / max(sqrtf(total), <float> 1e-12)
        for j in range(dims):
            out[k, j] = table[item, j] * total
    return rows


def relative(const double[:, ::1] sums, const int[::1] ids):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, row
    cdef double highest, value
    shares = np.zeros((sums.shape[0], n), dtype=np.float32)
    cdef float[:, ::1] out = shares
    for row in range(sums.shape[0]):
        highest = 1e-300
        for k in range(n):
            if ids[k] < sums.shape[1] and sums[row, ids[k]] > highest:
                highest = sums[row, ids[k]]
        for k in range(n):
            if ids[k] < sums.shape[1]:
                value = sums[row, ids[k]]
                if value != 0.0:
                    out[row, k] = <float> (value / highest)
    return shares


def since(const int64_t[:, ::1] seen, const int[::1] ids, int64_t now):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, row
    cdef int64_t at
    ages = np.full((seen.shape[0], n), -1, dtype=np.int64)
    cdef int64_t[:, ::1] out = ages
    for row in range(seen.shape[0]):
        for k in range(n):
            if ids[k] < seen.shape[1]:
                at = seen[row, ids[k]]
                if at >= 0:
                    out[row, k] = now - at
    return ages
