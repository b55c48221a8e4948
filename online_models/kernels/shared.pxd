"""Small loops that several kernels share, compiled into each."""


cdef inline Py_ssize_t find(const int[::1] ids, int item) noexcept:
    """The place of an item among ascending ids, -1 for none."""
    cdef Py_ssize_t low = 0, high = ids.shape[0], middle
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low if low < ids.shape[0] and ids[low] == item else -1


cdef inline void add_each(double[::1] total, const double[::1] table, const int[::1] ids, double factor) noexcept:
    """Add to each of ``total`` its item's entry of a table, times a factor; items beyond the table add nothing."""
    cdef Py_ssize_t k
    for k in range(ids.shape[0]):
        if 0 <= ids[k] < table.shape[0]:
            total[k] += table[ids[k]] * factor
