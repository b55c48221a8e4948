"""From the scores of all that is proposed to a table of features of the best: each step one pass over arrays."""

from libc.math cimport INFINITY, isfinite, log1pf, logf
from libc.stdint cimport int64_t

from online_models.kernels.shared cimport find

import numpy as np

cdef float BOUND = 5.0


def shares(const float[:, ::1] scores, const Py_ssize_t[::1] rows):
    """See the stub for what is given."""
    cdef Py_ssize_t sources = scores.shape[0], n = rows.shape[0], s, k
    cdef float highest
    share = np.empty((sources, n), dtype=np.float32)
    cdef float[:, ::1] out = share
    if n == 0:
        return share
    for s in range(sources):
        for k in range(n):
            out[s, k] = scores[s, rows[k]]
        highest = _highest(&out[s, 0], n)
        for k in range(n):
            out[s, k] /= highest
    return share


cdef float _highest(const float* x, Py_ssize_t n) noexcept:
    """The highest of some numbers and 1e-30, by eight chains of comparisons that do not wait for each other."""
    cdef float[8] best
    cdef Py_ssize_t k, j
    for j in range(8):
        best[j] = <float> 1e-30
    for k in range(0, n - 7, 8):
        for j in range(8):
            best[j] = x[k + j] if x[k + j] > best[j] else best[j]
    for k in range(n - n % 8, n):
        best[0] = x[k] if x[k] > best[0] else best[0]
    for j in range(1, 8):
        best[0] = best[j] if best[j] > best[0] else best[0]
    return best[0]


def of_items(const int[::1] ids, recent, const int64_t[:, ::1] seen, int64_t now):
    """See the stub for what is given."""
    cdef Py_ssize_t n = ids.shape[0], k, row, place
    cdef int item
    told = np.zeros((n, 8), dtype=np.float32)
    cdef float[:, ::1] out = told
    for k in range(n):
        out[k, 1] = BOUND
        out[k, 7] = 1.0
        if ids[k] < seen.shape[0]:
            if seen[ids[k], 0] >= 0:
                out[k, 0] = _age(now - seen[ids[k], 0])
            if seen[ids[k], 1] >= 0:
                out[k, 1] = _age(now - seen[ids[k], 1])
    place = 0
    for item in recent:
        row = find(ids, item)
        if row >= 0:
            if out[row, 2] == 0.0:
                out[row, 2] = 1.0
                out[row, 3] = <float> (1.0 / (1.0 + place))
                out[row, 4] = place == 0
                out[row, 5] = place == 1
            else:
                out[row, 6] += 1.0
        place += 1
    for k in range(n):
        if out[k, 6] > 0.0:
            out[k, 6] = min(log1pf(out[k, 6]), BOUND)
    return told


cdef inline float _age(int64_t since) noexcept:
    return min(logf(<float> max(since, 0) + <float> 1.0) * <float> 0.2, BOUND)


def worth(const float[::1] weights, const float[:, ::1] share, const float[:, ::1] logs, const float[:, ::1] of_item):
    """See the stub for what is given."""
    cdef Py_ssize_t sources = share.shape[0], n = share.shape[1], width = of_item.shape[1], s, k, j
    cdef float heard, rated, total
    sums = np.empty(n, dtype=np.float32)
    cdef float[::1] out = sums
    for k in range(n):
        total = 0.0
        for j in range(width):
            total += weights[sources + j] * of_item[k, j]
        out[k] = total
    for s in range(sources):
        heard, rated = weights[s], weights[sources + width + s]
        for k in range(n):
            out[k] += heard * logs[s, k] + rated * share[s, k]
    return sums


def lift(float[::1] values, const float[::1] scores, Py_ssize_t n):
    """See the stub for what is given."""
    cdef Py_ssize_t k, j, held = 0
    cdef float least = 0.0
    if n < 1:
        return
    cdef Py_ssize_t[::1] places = np.empty(n, dtype=np.intp)
    for k in range(scores.shape[0]):
        if not scores[k] > least or not isfinite(scores[k]):
            continue
        j = held if held < n else n - 1
        while j > 0 and scores[places[j - 1]] < scores[k]:
            places[j] = places[j - 1]
            j -= 1
        places[j] = k
        held = min(held + 1, n)
        if held == n:
            least = scores[places[n - 1]]
    for k in range(held):
        values[places[k]] = INFINITY


def kept(const float[::1] values, float cut, Py_ssize_t n):
    """See the stub for what is given."""
    cdef Py_ssize_t k, found = 0, ties = n
    rows = np.empty(n, dtype=np.intp)
    cdef Py_ssize_t[::1] out = rows
    for k in range(values.shape[0]):
        ties -= values[k] > cut
    for k in range(values.shape[0]):
        if values[k] > cut:
            out[found] = k
            found += 1
        elif values[k] == cut and ties > 0:
            out[found] = k
            found += 1
            ties -= 1
    return rows[:found]


def table(
    const Py_ssize_t[::1] rows,
    const float[:, ::1] share,
    const float[:, ::1] logs,
    const float[:, ::1] of_item,
):
    """See the stub for what is given."""
    cdef Py_ssize_t sources = share.shape[0], width = of_item.shape[1], k, s, row, loudest
    cdef float best
    features = np.empty((rows.shape[0], 2 * sources + width), dtype=np.float32)
    source = np.zeros(rows.shape[0], dtype=np.int8)
    cdef float[:, ::1] out = features
    cdef signed char[::1] of = source
    for k in range(rows.shape[0]):
        row = rows[k]
        loudest, best = 0, -INFINITY
        for s in range(sources):
            out[k, s] = logs[s, row]
            out[k, sources + width + s] = share[s, row]
            if share[s, row] > best:
                loudest, best = s, share[s, row]
        for s in range(width):
            out[k, sources + s] = of_item[row, s]
        of[k] = <signed char> loudest
    return features, source
