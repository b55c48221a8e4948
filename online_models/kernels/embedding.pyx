"""One step of the sequence embedding: a softmax over drawn items, Adagrad with one fading sum a vector."""

from libc.math cimport expf, sqrtf

import numpy as np


def learn(
    const Py_ssize_t[::1] held,
    const float[::1] fades,
    const Py_ssize_t[::1] targets,
    float[:, ::1] inner,
    float[:, ::1] outer,
    float[:, ::1] sums,
    float keep,
    float rate,
):
    """See the stub for what is given."""
    cdef Py_ssize_t h = held.shape[0], n = targets.shape[0], dims = inner.shape[1], k, j
    cdef float[::1] hidden = np.zeros(dims, dtype=np.float32)
    cdef float[::1] back = np.zeros(dims, dtype=np.float32)
    cdef float[::1] wrong = np.empty(n, dtype=np.float32)
    cdef float[:, ::1] old = np.empty((n, dims), dtype=np.float32)
    cdef float[::1] square = np.empty(n, dtype=np.float32)
    cdef float best, total = 0.0, length = 0.0, back_length = 0.0, step
    for k in range(h):
        for j in range(dims):
            hidden[j] += fades[k] * inner[held[k], j]
    for k in range(n):
        wrong[k] = 0.0
        for j in range(dims):
            old[k, j] = outer[targets[k], j]
            wrong[k] += old[k, j] * hidden[j]
    best = wrong[0]
    for k in range(1, n):
        best = max(best, wrong[k])
    for k in range(n):
        wrong[k] = expf(wrong[k] - best)
        total += wrong[k]
    for k in range(n):
        wrong[k] /= total
    wrong[n - 1] -= 1.0
    for k in range(n):
        for j in range(dims):
            back[j] += wrong[k] * old[k, j]
    for j in range(dims):
        length += hidden[j] * hidden[j]
        back_length += back[j] * back[j]
    for k in range(n):  # of an item drawn twice the last step counts: rare, and both are from the same vector
        square[k] = sums[1, targets[k]] * keep + wrong[k] * wrong[k] * (length / dims)
    for k in range(n):
        sums[1, targets[k]] = square[k]
        step = wrong[k] * (rate / sqrtf(square[k]))
        for j in range(dims):
            outer[targets[k], j] = old[k, j] - step * hidden[j]
    for k in range(h):
        step = sums[0, held[k]] * keep + fades[k] * fades[k] * (back_length / dims)
        sums[0, held[k]] = step
        step = fades[k] * (rate / sqrtf(step))
        for j in range(dims):
            inner[held[k], j] -= step * back[j]


def faded(
    recent, const int[::1] slot, const float[:, ::1] inner, const float[::1] fades, const float[::1] norms
):
    """See the stub for what is given."""
    cdef Py_ssize_t dims = inner.shape[1], held = 0, j, k
    cdef int item, row
    cdef int[::1] rows = np.empty(len(recent), dtype=np.int32)
    total = np.zeros(dims, dtype=np.float32)
    cdef float[::1] out = total
    for item in recent:
        row = slot[item] if item < slot.shape[0] else -1
        for k in range(held):
            if rows[k] == row:
                row = -1
                break
        if row < 0:
            continue
        for j in range(dims):
            out[j] += fades[held] * inner[row, j]
        rows[held] = row
        held += 1
    if held:
        for j in range(dims):
            out[j] *= norms[held - 1] / fades[0]
    return total
