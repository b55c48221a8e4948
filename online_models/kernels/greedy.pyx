"""Maximal marginal relevance in one pass: the greedy slate that `online_models.bandit.draw_slate` fills slot by slot."""

from libc.math cimport INFINITY, isfinite

import numpy as np


def greedy_slate(
    const double[::1] scores,
    const float[:, ::1] vectors,
    double penalty,
    Py_ssize_t slots,
    const int[:, ::1] tags,
    Py_ssize_t tags_known,
    Py_ssize_t most,
    Py_ssize_t wanted_slot,
    const unsigned char[::1] wanted,
):
    """Places chosen, best first; see the stub for what is given."""
    cdef Py_ssize_t n = scores.shape[0], d = vectors.shape[1], width = tags.shape[1]
    cdef Py_ssize_t slot, k, j, best
    cdef bint some_wanted
    cdef double value, top
    cdef float dot
    chosen = []
    if n == 0:
        return chosen
    cdef double[::1] nearest = np.zeros(n)
    cdef unsigned char[::1] free = np.ones(n, dtype=np.uint8)
    cdef unsigned char[::1] able = np.ones(n, dtype=np.uint8)
    cdef int[::1] counts = np.zeros(tags_known + 1, dtype=np.int32)
    for slot in range(min(slots, n)):
        _allow(able, free, tags, counts, most)
        if slot == wanted_slot:
            some_wanted = False
            for k in range(n):
                some_wanted |= able[k] and wanted[k]
            if some_wanted:
                for k in range(n):
                    able[k] = able[k] and wanted[k]
        best, top = -1, -INFINITY
        for k in range(n):
            if not able[k]:
                continue
            value = scores[k] - penalty * nearest[k]
            if not isfinite(value):
                value = -INFINITY
            if best < 0 or value > top:
                best, top = k, value
        chosen.append(best)
        free[best] = 0
        for j in range(width):
            if tags[best, j] >= 0:
                counts[tags[best, j]] += 1
        if penalty == 0.0:
            continue
        for k in range(n):
            if free[k]:
                dot = 0.0
                for j in range(d):
                    dot += vectors[k, j] * vectors[best, j]
                if dot > nearest[k]:
                    nearest[k] = dot
    return chosen


cdef void _allow(
    unsigned char[::1] able,
    const unsigned char[::1] free,
    const int[:, ::1] tags,
    const int[::1] counts,
    Py_ssize_t most,
) noexcept:
    """Those left whose tags are not used up; all that are left when no such is."""
    cdef Py_ssize_t k, j
    cdef bint some = False, full
    for k in range(free.shape[0]):
        full = False
        if most:
            for j in range(tags.shape[1]):
                if tags[k, j] >= 0 and counts[tags[k, j]] >= most:
                    full = True
                    break
        able[k] = free[k] and not full
        some |= able[k]
    if not some:
        for k in range(free.shape[0]):
            able[k] = free[k]
