"""The distinct items of a long list, ascending, and the place of each entry among them, without sorting."""

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
