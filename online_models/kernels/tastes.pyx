"""What each tag is worth to a user, by ridge regression, and how well items fit that."""

from libc.math cimport sqrt

import numpy as np


def met(
    const int[::1] items,
    const double[::1] trust,
    const int[:, ::1] tags,
    const float[::1] scale,
    double[::1] often,
):
    """See the stub for what is given."""
    cdef Py_ssize_t k, j, found = 0
    cdef int item, tag
    columns = np.empty(items.shape[0] * tags.shape[1], dtype=np.int32)
    cdef int[::1] out = columns
    for k in range(items.shape[0]):
        item = items[k]
        if item >= scale.shape[0]:
            continue
        for j in range(tags.shape[1]):
            tag = tags[item, j]
            if tag < 0:
                break
            if often[tag] == 0.0:
                out[found] = tag
                found += 1
            often[tag] += trust[k] * scale[item]
    shares = np.empty(found, dtype=np.float64)
    cdef double[::1] share = shares
    for k in range(found):
        share[k] = often[out[k]]
        often[out[k]] = 0.0
    return columns[:found], shares


def worth(
    const int[::1] items,
    const double[::1] trust,
    const double[::1] said,
    const int[:, ::1] tags,
    const float[::1] scale,
    const int[::1] columns,
    double ridge,
    int[::1] place,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = columns.shape[0], k, i, j, width = tags.shape[1], held
    cdef int item
    cdef double value
    cdef double[:, ::1] inner = np.zeros((n, n))
    cdef double[::1] right = np.zeros(n)
    cdef Py_ssize_t[::1] mine = np.empty(width, dtype=np.intp)
    for k in range(n):
        place[columns[k]] = <int> k + 1
        inner[k, k] = ridge
    for k in range(items.shape[0]):
        item = items[k]
        if item >= scale.shape[0]:
            continue
        held = 0
        for j in range(width):
            if tags[item, j] < 0:
                break
            if place[tags[item, j]]:
                mine[held] = place[tags[item, j]] - 1
                held += 1
        value = trust[k] * scale[item] * scale[item]
        for i in range(held):
            right[mine[i]] += trust[k] * said[k] * scale[item]
            for j in range(held):
                inner[mine[i], mine[j]] += value
    for k in range(n):
        place[columns[k]] = 0
    _solve(inner, right)
    return np.asarray(right).astype(np.float32)


cdef void _solve(double[:, ::1] a, double[::1] b) noexcept:
    """a x = b in place, of a symmetric and positive definite: its Cholesky factor, forward and back."""
    cdef Py_ssize_t n = b.shape[0], i, j, k
    cdef double total
    for j in range(n):
        for i in range(j, n):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = sqrt(total) if i == j else total / a[j, j]
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]


def fit(
    const int[::1] ids,
    const int[:, ::1] tags,
    const int[::1] columns,
    const float[::1] worths,
    float[::1] of_tag,
    float usual,
    float doubt,
    const int[::1] passed,
    const float[::1] tired,
    float[::1] out,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, j, held, low, high
    cdef int item
    cdef float total
    for k in range(columns.shape[0]):
        of_tag[columns[k]] = worths[k]
    for k in range(n):
        item = ids[k]
        total = 0.0
        if item < tags.shape[0]:
            held = 0
            for j in range(tags.shape[1]):
                if tags[item, j] < 0:
                    break
                total += of_tag[tags[item, j]]
                held += 1
            if held:
                total *= <float> (1.0 / held)
        out[k] = max(total + usual, <float> 0.0) + doubt
    for k in range(columns.shape[0]):
        of_tag[columns[k]] = 0.0
    for k in range(passed.shape[0]):
        low, high = 0, n
        while low < high:
            j = (low + high) // 2
            if ids[j] < passed[k]:
                low = j + 1
            else:
                high = j
        if low < n and ids[low] == passed[k]:
            out[low] /= tired[k]
