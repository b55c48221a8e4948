"""Values of some items out of tables of all, with what is done to each on the way."""

from libc.math cimport sqrtf

from online_models.kernels.shared cimport add_each

import numpy as np


def dots(
    const float[:, ::1] table,
    const unsigned char[::1] known,
    const int[::1] slot,
    const int[::1] ids,
    const float[::1] vector,
    float unknown,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], dims = table.shape[1], k, j
    cdef int row
    cdef float total
    products = np.empty(n, dtype=np.float32)
    cdef float[::1] out = products
    for k in range(n):
        row = slot[ids[k]] if ids[k] < slot.shape[0] else -1
        if row < 0 or not known[row]:
            out[k] = unknown
            continue
        total = 0.0
        for j in range(dims):
            total += table[row, j] * vector[j]
        out[k] = total
    return products


def unit_rows(
    const float[:, ::1] table, const unsigned char[::1] known, const int[::1] slot, const int[::1] ids
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], dims = table.shape[1], k, j
    cdef int row
    cdef float total
    rows = np.zeros((n, dims), dtype=np.float32)
    cdef float[:, ::1] out = rows
    for k in range(n):
        row = slot[ids[k]] if ids[k] < slot.shape[0] else -1
        if row < 0 or not known[row]:
            continue
        total = 0.0
        for j in range(dims):
            total += table[row, j] * table[row, j]
        total = 1.0 / max(sqrtf(total), <float> 1e-12)
        for j in range(dims):
            out[k, j] = table[row, j] * total
    return rows


def relative(const double[:, ::1] sums, const int[::1] ids, float[:, ::1] out):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, row
    cdef double value
    cdef double[::1] highest = np.full(sums.shape[1], 1e-300)
    cdef double[:, ::1] held = np.empty((sums.shape[1], n))  # so that the table is looked at once
    for k in range(n):
        for row in range(sums.shape[1]):
            value = sums[ids[k], row] if ids[k] < sums.shape[0] else 0.0
            held[row, k] = value
            highest[row] = max(highest[row], value)
    for row in range(sums.shape[1]):
        for k in range(n):
            out[row, k] = <float> (held[row, k] / highest[row])


def put(const Py_ssize_t[::1] at, const float[:, ::1] said, float[:, ::1] out):
    """See the stub for what is given."""
    cdef Py_ssize_t row, k
    for row in range(said.shape[0]):
        for k in range(said.shape[1]):
            if at[k] < out.shape[1]:
                out[row, at[k]] = said[row, k]


def add_scaled(double[::1] total, const double[::1] table, const int[::1] ids, double factor):
    """See the stub for what is given."""
    add_each(total, table, ids, factor)
