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
    cdef Py_ssize_t n = scores.shape[0], width = tags.shape[1]
    cdef Py_ssize_t slot, k, best
    cdef bint some_wanted
    cdef double top
    chosen = []
    if n == 0:
        return chosen
    cdef double[:, ::1] of_each = np.zeros((2, n))
    cdef double* nearest = &of_each[0, 0]
    cdef double* value = &of_each[1, 0]
    cdef int[::1] numbers = np.zeros(2 * n + tags_known, dtype=np.int32)
    cdef int* met = &numbers[0]  # slots that a candidate's value knows of
    cdef int* filled = met + n
    cdef int* counts = filled + n
    cdef unsigned char[:, ::1] flags = np.ones((2, n), dtype=np.uint8)
    cdef unsigned char* free = &flags[0, 0]
    cdef unsigned char* able = &flags[1, 0]
    for k in range(n):
        value[k] = scores[k] if isfinite(scores[k]) else -INFINITY
    for slot in range(min(slots, n)):
        _allow(able, free, n, tags, counts, most)
        if slot == wanted_slot:
            some_wanted = False
            for k in range(n):
                some_wanted |= able[k] and wanted[k]
            if some_wanted:
                for k in range(n):
                    able[k] = able[k] and wanted[k]
        while True:  # a value only falls: one that is up to date and above all others is the highest
            best, top = -1, -INFINITY
            for k in range(n):
                if able[k] and (best < 0 or value[k] > top):
                    best, top = k, value[k]
            if met[best] == slot or penalty == 0.0:
                break
            _meet(vectors, filled, met, nearest, best, slot)
            top = scores[best] - penalty * nearest[best]
            value[best] = top if isfinite(top) else -INFINITY
        chosen.append(best)
        filled[slot] = <int> best
        free[best] = 0
        for k in range(width):
            if tags[best, k] >= 0:
                counts[tags[best, k]] += 1
    return chosen


cdef void _meet(
    const float[:, ::1] vectors,
    const int* filled,
    int* met,
    double* nearest,
    Py_ssize_t k,
    Py_ssize_t slot,
) noexcept:
    """A candidate's likeness to the nearest of all slots before this one."""
    cdef Py_ssize_t other, j
    cdef float dot
    for other in range(met[k], slot):
        dot = 0.0
        for j in range(vectors.shape[1]):
            dot += vectors[k, j] * vectors[filled[other], j]
        if dot > nearest[k]:
            nearest[k] = dot
    met[k] = <int> slot


cdef void _allow(
    unsigned char* able,
    const unsigned char* free,
    Py_ssize_t n,
    const int[:, ::1] tags,
    const int* counts,
    Py_ssize_t most,
) noexcept:
    """Those left whose tags are not used up; all that are left when no such is."""
    cdef Py_ssize_t k, j
    cdef bint some = False, full
    for k in range(n):
        full = False
        if most:
            for j in range(tags.shape[1]):
                if tags[k, j] >= 0 and counts[tags[k, j]] >= most:
                    full = True
                    break
        able[k] = free[k] and not full
        some |= able[k]
    if not some:
        for k in range(n):
            able[k] = free[k]
