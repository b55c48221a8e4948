"""Lists of neighbours read in several ways at once, and the pairs of one interaction written into them."""

from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy

import numpy as np


def listed(const Py_ssize_t[::1] rows, const int[:, ::1] ids, const int[::1] used):
    """See the stub for what is given."""
    cdef Py_ssize_t r, j, at = 0, total = 0
    for r in range(rows.shape[0]):
        total += used[rows[r]]
    neighbours = np.empty(total, dtype=np.int32)
    cdef int[::1] out = neighbours
    for r in range(rows.shape[0]):
        for j in range(used[rows[r]]):
            out[at] = ids[rows[r], j] - 1
            at += 1
    return neighbours


def carry(
    const int[:, ::1] ids,
    const float[:, :, ::1] weights,
    const int[::1] used,
    int[:, ::1] taller_ids,
    float[:, :, ::1] taller_weights,
):
    """See the stub for what is given."""
    cdef Py_ssize_t row, n, channels = weights.shape[2]
    for row in range(used.shape[0]):
        n = used[row]
        if n:
            memcpy(&taller_ids[row, 0], &ids[row, 0], n * sizeof(int))
            memcpy(&taller_weights[row, 0, 0], &weights[row, 0, 0], n * channels * sizeof(float))


def view_scores(
    const Py_ssize_t[::1] rows,
    const Py_ssize_t[::1] at,
    const int[::1] union,
    const int[::1] used,
    const float[:, :, ::1] weights,
    const double[:, ::1] visits,
    const double[::1] shrink,
    const float[:, ::1] fades,
    const Py_ssize_t[::1] channels,
    const Py_ssize_t[::1] lasts,
    float[:, ::1] out,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = rows.shape[0], size = union.shape[0], views = channels.shape[0]
    cdef Py_ssize_t known = visits.shape[0], r, j, v, c, k, item, row, next = 0
    if n == 0 or size == 0:
        return
    cdef double[:, ::1] sums = np.zeros((size, views))
    cdef float[:, ::1] shares = np.zeros((n, views), dtype=np.float32)
    cdef double[::1] down = np.zeros(weights.shape[2])
    cdef float mine
    cdef bint some
    for r in range(n):
        for v in range(views):
            if r < lasts[v]:
                mine = <float> (1.0 / sqrt(visits[rows[r], channels[v]] + shrink[channels[v]]))
                shares[r, v] = mine * fades[v, r]
    for r in range(n):
        row = rows[r]
        for j in range(used[row]):
            k = at[next]
            next += 1
            if k >= size:
                continue
            for v in range(views):
                sums[k, v] += weights[row, j, channels[v]] * shares[r, v]
    for k in range(size):
        some = False
        for v in range(views):
            some |= sums[k, v] != 0.0
        if not some:
            continue
        item = min(<Py_ssize_t> union[k], known - 1)
        for c in range(down.shape[0]):
            down[c] = 1.0 / sqrt(visits[item, c] + shrink[c])
        for v in range(views):
            out[v, k] = <float> (sums[k, v] * down[channels[v]])


def link(
    int item,
    const Py_ssize_t[::1] others,
    const float[:, ::1] onward,
    const float[:, ::1] back,
    int[:, ::1] ids,
    float[:, :, ::1] weights,
    int[::1] used,
    const double[::1] unit,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = min(others.shape[0], ids.shape[1]), k, at
    cdef Py_ssize_t channels = weights.shape[2], c
    cdef unsigned char[::1] kept = np.zeros(ids.shape[1], dtype=np.uint8)
    for k in range(n):
        at = _find(ids, used, others[k], item + 1)
        if at < 0:
            at = _room(ids, weights, used, unit, others[k], kept)
            ids[others[k], at] = item + 1
        for c in range(channels):
            weights[others[k], at, c] += onward[k, c]
    for k in range(n):  # what is held already keeps its place before the new ones look for theirs
        at = _find(ids, used, item, <int> others[k] + 1)
        if at >= 0:
            kept[at] = 1
            for c in range(channels):
                weights[item, at, c] += back[k, c]
    for k in range(n):
        at = _find(ids, used, item, <int> others[k] + 1)
        if at < 0:
            at = _room(ids, weights, used, unit, item, kept)
            ids[item, at] = <int> others[k] + 1
            kept[at] = 1
            for c in range(channels):
                weights[item, at, c] += back[k, c]


cdef Py_ssize_t _find(const int[:, ::1] ids, const int[::1] used, Py_ssize_t row, int held) noexcept:
    cdef Py_ssize_t j
    for j in range(used[row]):
        if ids[row, j] == held:
            return j
    return -1


cdef Py_ssize_t _room(
    const int[:, ::1] ids,
    float[:, :, ::1] weights,
    int[::1] used,
    const double[::1] unit,
    Py_ssize_t row,
    const unsigned char[::1] kept,
) noexcept:
    """A free place, or that of the weakest which is not to be kept."""
    cdef Py_ssize_t j, c, at = 0
    cdef double strength, weakest = INFINITY
    if used[row] < ids.shape[1]:
        used[row] += 1
        return used[row] - 1
    for j in range(ids.shape[1]):
        if kept[j]:
            continue
        strength = 0.0
        for c in range(weights.shape[2]):
            strength += weights[row, j, c] / unit[c]
        if strength < weakest:
            at, weakest = j, strength
    for c in range(weights.shape[2]):
        weights[row, at, c] = 0.0
    return at
