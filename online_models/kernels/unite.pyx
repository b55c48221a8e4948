"""The distinct items of a long list, ascending, and the place of each entry among them, without sorting."""

from libc.stdint cimport uint64_t

import numpy as np


def unite(
    const int[::1] ids,
    const int[::1] exclude,
    const unsigned char[::1] allowed,
    unsigned char[::1] marked,
    int[::1] place,
):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], size = marked.shape[0], k, word, first, last, found = 0
    cdef int item
    for k in range(n):
        if ids[k] >= 0:
            marked[ids[k]] = 1
    for k in range(exclude.shape[0]):
        if 0 <= exclude[k] < size and marked[exclude[k]]:
            marked[exclude[k]] = 2
    union = np.empty(min(n, size), dtype=np.int32)
    cdef int[::1] out = union
    cdef const uint64_t* words = <const uint64_t*> &marked[0]
    for word in range(size // 8):
        if words[word] == 0:
            continue
        first = 8 * word
        for item in range(<int> first, <int> first + 8):
            if marked[item] == 0:
                continue
            if marked[item] == 1 and (item >= allowed.shape[0] or allowed[item]):
                place[item] = <int> found
                out[found] = item
                found += 1
            else:
                place[item] = -1
            marked[item] = 0
    places = np.empty(n, dtype=np.intp)
    cdef Py_ssize_t[::1] at = places
    for k in range(n):
        at[k] = found if ids[k] < 0 or place[ids[k]] < 0 else place[ids[k]]
    return union[:found], places
