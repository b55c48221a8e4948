"""Which of some items pass a rule, by a table or by a list."""

from online_models.kernels.shared cimport find

import numpy as np


def by_state(const signed char[::1] states, const int[::1] ids, const unsigned char[::1] passes):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k
    mask = np.empty(n, dtype=np.uint8)
    cdef unsigned char[::1] out = mask
    for k in range(n):
        out[k] = passes[states[ids[k]] if ids[k] < states.shape[0] else 0]
    return mask.view(np.bool_)


def among(const int[::1] ids, some):
    """See the stub for what is given."""
    cdef Py_ssize_t at
    cdef int item
    mask = np.zeros(ids.shape[0], dtype=np.uint8)
    cdef unsigned char[::1] out = mask
    for item in some:
        at = find(ids, item)
        if at >= 0:
            out[at] = 1
    return mask.view(np.bool_)
