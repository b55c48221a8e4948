"""The distinct items of a long list, ascending, and the place of each entry among them, without sorting."""

from libc.math cimport sqrt
from libc.stdint cimport uint64_t

import numpy as np

cdef extern from *:
    int __builtin_ctzll(unsigned long long word) noexcept


def unite(
    const int[::1] ids,
    const int[::1] exclude,
    const unsigned char[::1] allowed,
    uint64_t[::1] marked,
    int[::1] place,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], words = marked.shape[0], k, word
    cdef int item, found = 0
    cdef uint64_t bits, bit
    for k in range(n):
        found = max(found, ids[k])
    if found >= 64 * words:
        return None
    found = 0
    for k in range(n):
        if ids[k] >= 0:
            marked[ids[k] >> 6] |= <uint64_t> 1 << (ids[k] & 63)
    for k in range(exclude.shape[0]):
        item = exclude[k]
        if 0 <= item < 64 * words:
            bit = <uint64_t> 1 << (item & 63)
            if marked[item >> 6] & bit:
                marked[item >> 6] ^= bit
                place[item] = -1
    union = np.empty(min(n, 64 * words), dtype=np.int32)
    cdef int[::1] out = union
    for word in range(words):
        bits = marked[word]
        if bits == 0:
            continue
        marked[word] = 0
        while bits:
            item = <int> (64 * word + __builtin_ctzll(bits))
            bits &= bits - 1
            if item < allowed.shape[0] and not allowed[item]:
                place[item] = -1
                continue
            place[item] = found
            out[found] = item
            found += 1
    places = np.empty(n, dtype=np.intp)
    cdef Py_ssize_t[::1] at = places
    for k in range(n):
        at[k] = found if ids[k] < 0 or place[ids[k]] < 0 else place[ids[k]]
    return union[:found], places


def summed(
    const int[::1] ids,
    const Py_ssize_t[::1] lengths,
    const double[::1] gains,
    const int[::1] exclude,
    const short[::1] sizes,
    double[::1] sums,
):
    """See the stub for what is given."""
    cdef Py_ssize_t k, end = 0, row, found = 0, kept = 0
    cdef int item
    union = np.empty(ids.shape[0], dtype=np.int32)
    cdef int[::1] out = union
    k = 0
    for row in range(lengths.shape[0]):
        end += lengths[row]
        while k < end:
            item = ids[k]
            if sums[item] == 0.0:
                out[found] = item
                found += 1
            sums[item] += gains[row]
            k += 1
    for k in range(exclude.shape[0]):
        if 0 <= exclude[k] < sums.shape[0]:
            sums[exclude[k]] = 0.0
    totals = np.empty(found, dtype=np.float64)
    cdef double[::1] total = totals
    for k in range(found):
        item = out[k]
        if sums[item] != 0.0:
            out[kept], total[kept] = item, sums[item] / sqrt(1.0 + sizes[item])
            kept += 1
            sums[item] = 0.0
    return union[:kept], totals[:kept]
