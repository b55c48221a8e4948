"""Users who hold the same items, and what stands near those items in their histories."""

from libc.math cimport sqrtf
from libc.stdint cimport int64_t

import numpy as np


def alike(
    const Py_ssize_t[::1] mine,
    const int[:, ::1] who,
    const int[:, ::1] where,
    const int[:, ::1] items,
    const int[::1] length,
    const float[::1] distinct,
    Py_ssize_t own,
    bint verify,
    int[::1] shared,
    float[::1] cosine,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = mine.shape[0], holders = who.shape[1]
    cdef Py_ssize_t k, h, found = 0, kept = 0
    cdef int row, held
    cdef float size = <float> n
    rows = np.empty(min(n * holders, shared.shape[0]), dtype=np.intp)
    cdef Py_ssize_t[::1] touched = rows
    for k in range(n):
        held = <int> mine[k]
        for h in range(holders):
            row = who[held, h]
            if row == 0 or (verify and not _holds(items, length, row, where[held, h], held)):
                continue
            if shared[row] == 0:
                touched[found] = row
                found += 1
            shared[row] += 1
    cosines = np.empty(found, dtype=np.float32)
    cdef float[::1] out = cosines
    for k in range(found):
        row = <int> touched[k]
        if row != own:
            out[kept] = shared[row] / sqrtf(distinct[row] * size)
            cosine[row] = out[kept]
            touched[kept] = row
            kept += 1
        shared[row] = 0
    return rows[:kept], cosines[:kept]


cdef bint _holds(const int[:, ::1] items, const int[::1] length, int row, int place, int item) noexcept:
    """Whether a row still holds an item at a place: neither written over nor somebody else's by now."""
    cdef int history = <int> items.shape[1]
    return place >= length[row] - history and items[row, place & (history - 1)] == item


def holdings(
    const Py_ssize_t[::1] anchors,
    const int[:, ::1] who,
    const int[:, ::1] where,
    const int[:, ::1] items,
    const int[::1] length,
    const float[::1] cosine,
    const float[::1] wide,
    const float[::1] close,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = anchors.shape[0], holders = who.shape[1]
    cdef Py_ssize_t k, h, found = 0
    cdef int row, held
    voters = np.empty(n * holders, dtype=np.int32)
    places = np.empty(n * holders, dtype=np.int32)
    weights = np.empty((2, n * holders), dtype=np.float32)
    cdef int[::1] out_voters = voters, out_places = places
    cdef float[:, ::1] out = weights
    for k in range(n):
        held = <int> anchors[k]
        for h in range(holders):
            row = who[held, h]
            if cosine[row] == 0.0 or not _holds(items, length, row, where[held, h], held):
                continue
            out_voters[found], out_places[found] = row, where[held, h]
            out[0, found], out[1, found] = cosine[row] * wide[k], cosine[row] * close[k]
            found += 1
    return voters[:found], places[:found], weights[0, :found], weights[1, :found]


def polled(
    const Py_ssize_t[::1] nearest,
    const float[::1] alike,
    const int[::1] voters,
    const int[::1] places,
    const float[::1] wide,
    const float[::1] close,
    const float[::1] wide_by_distance,
    const float[::1] close_by_distance,
    const int[:, ::1] items,
    const int[::1] length,
    double[:, ::1] sums,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = voters.shape[0], width = wide_by_distance.shape[0], half = width // 2
    cdef Py_ssize_t history = items.shape[1], k, d, used, found = 0, j
    cdef int item, row
    cdef double vote
    held = np.empty(min(sums.shape[0], nearest.shape[0] * history + n * width), dtype=np.int32)
    cdef int[::1] out = held
    for k in range(nearest.shape[0]):
        row = <int> nearest[k]
        used = min(history, <Py_ssize_t> length[row])
        for d in range(used):
            item = items[row, d]
            if item < 0:
                continue
            if sums[item, 0] == 0.0 and sums[item, 1] == 0.0:
                out[found] = item
                found += 1
            sums[item, 0] += alike[k]
    for k in range(n):
        row = voters[k]  # nothing stands before its first place, nor behind its last
        for d in range(max(0, half - places[k]), min(width, half + length[row] - 1 - places[k])):
            item = items[voters[k], (places[k] + d - half + (1 if d >= half else 0)) & (history - 1)]
            if item < 0:
                continue
            if sums[item, 0] == 0.0 and sums[item, 1] == 0.0:
                out[found] = item
                found += 1
            vote = wide[k] * wide_by_distance[d]
            sums[item, 1] += vote
            if d >= half:
                sums[item, 2] += vote
            sums[item, 3] += close[k] * close_by_distance[d]
    scores = np.empty((4, found), dtype=np.float32)
    cdef float[:, ::1] said = scores
    for k in range(found):
        item = out[k]
        for j in range(4):
            said[j, k] = <float> sums[item, j]
            sums[item, j] = 0.0
    return held[:found], scores


def hold(
    Py_ssize_t row,
    Py_ssize_t item,
    Py_ssize_t window,
    int[:, ::1] items,
    int[::1] length,
    float[::1] distinct,
    int[:, ::1] who,
    int[:, ::1] where,
    int64_t[::1] held,
):
    """See the stub for what is given."""
    cdef Py_ssize_t size = items.shape[1], mask = size - 1, k, at
    cdef int place = length[row]
    cdef bint there = False
    for k in range(size):
        there |= items[row, k] == item
    if not there:
        distinct[row] += 1.0
    items[row, place & mask] = <int> item
    for k in range(1, window + 1):
        items[row, (place + k) & mask] = -1
    length[row] = place + 1
    at = held[item] % who.shape[1]
    who[item, at] = <int> row
    where[item, at] = place
    held[item] += 1
