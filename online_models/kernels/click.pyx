"""What the click head reads of a request's candidates, and what its weights make of it, a row at a time."""

from libc.math cimport isfinite, isnan, log, log1pf, logf

from online_models.kernels.shared cimport add_each, find

import numpy as np

cdef float BOUND = 5.0


def beside(
    const int[::1] ids,
    const double[::1] scores,
    const Py_ssize_t[::1] places,
    clicked,
    seen,
    shown,
    double prior,
    double mean,
    double middle,
    const float[::1] of_user,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, j, at
    cdef double rate, best = 0.0
    cdef int item
    cdef double[:, ::1] sums = np.zeros((2, n))
    _add(sums[0], clicked, ids)
    _add(sums[1], seen, ids)
    for k in range(n):
        best = scores[k] if places[k] == 0 else best
    rows = np.empty((n, 8), dtype=np.float32)
    cdef float[:, ::1] out = rows
    for k in range(n):
        rate = (sums[0, k] + prior * mean) / (max(sums[1, k], sums[0, k]) + prior)
        rate = min(max(rate, 1e-6), 1.0 - 1e-6)
        out[k, 0] = <float> (scores[k] - best)
        out[k, 1] = log1pf(<float> places[k])
        out[k, 2] = <float> (log(rate / (1.0 - rate)) - middle)
        out[k, 3] = <float> 0.3 * logf(<float> (sums[1, k] + 1.0))
        out[k, 4] = of_user[0]
        out[k, 5] = of_user[1]
        out[k, 6] = 0.0
        out[k, 7] = of_user[2]
    for item in shown:
        at = find(ids, item)
        if at >= 0:
            out[at, 6] += 1.0
    for k in range(n):
        if out[k, 6] > 0.0:
            out[k, 6] = log1pf(out[k, 6])
        for j in range(8):
            out[k, j] = min(max(out[k, j], -BOUND), BOUND)
    return rows


cdef void _add(double[::1] total, windows, const int[::1] ids):
    """Add to each of ``total`` its item's entry of some tables, each times its factor."""
    cdef const double[::1] table
    cdef double factor
    for table, factor in windows:
        add_each(total, table, ids, factor)


def product(
    const float[:, ::1] rows,
    const float[:, ::1] more,
    const double[::1] weights,
    Py_ssize_t sources,
    Py_ssize_t logged,
    double silence,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = rows.shape[0], beside = more.shape[1], k, j
    cdef double constant = 0.0
    cdef float total
    sums = np.empty(n, dtype=np.float64)
    cdef double[::1] out = sums
    cdef float[::1] w = np.empty(logged + beside, dtype=np.float32)
    for j in range(logged + beside):
        w[j] = <float> weights[j]
        if j < sources:
            w[j] *= 0.5
            constant += silence * w[j]
    for k in range(n):
        total = 0.0
        for j in range(logged):
            total += rows[k, j] * w[j]
        for j in range(beside):
            total += more[k, j] * w[logged + j]
        out[k] = total + constant
    return sums


def joined(
    const Py_ssize_t[::1] which,
    const float[:, ::1] rows,
    const float[:, ::1] more,
    Py_ssize_t sources,
    Py_ssize_t logged,
    float silence,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = which.shape[0], beside = more.shape[1], k, j, row, absent = 0
    cdef float value
    told = np.empty((n, logged + beside), dtype=np.float32)
    cdef float[:, ::1] out = told
    for k in range(n):
        row = which[k]
        for j in range(logged + beside):
            value = rows[row, j] if j < logged else more[row, j - logged]
            if j < sources:
                value = (value + silence) * <float> 0.5
            if not isfinite(value):
                value = 0.0
                absent += 1
            out[k, j] = min(max(value, -BOUND), BOUND)
    return told, absent


def logits(const float[:, ::1] rows, const double[::1] weights, double constant):
    """See the stub for what is given."""
    cdef Py_ssize_t n = rows.shape[0], width = rows.shape[1], k, j
    cdef double total, value
    sums = np.empty(n, dtype=np.float64)
    cdef double[::1] out = sums
    for k in range(n):
        total = constant
        for j in range(width):
            value = rows[k, j]
            if not isnan(value):
                total += weights[j] * min(max(value, -<double> BOUND), <double> BOUND)
        out[k] = total
    return sums
