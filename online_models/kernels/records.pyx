"""A user's record as bytes, and its numbers of 24 bits as bytes and back."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from libc.stdint cimport int64_t, uint32_t

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


def u24(values):
    """See the stub for what is given."""
    cdef Py_ssize_t n = len(values)
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, 3 * n)
    _put(<unsigned char*> PyBytes_AS_STRING(packed), values)
    return packed


def from_u24(bytes raw, Py_ssize_t begin, Py_ssize_t n):
    """See the stub for what is given."""
    if begin < 0 or n < 0 or begin + 3 * n > PyBytes_GET_SIZE(raw):
        raise ValueError("its length does not fit its header")
    cdef const unsigned char* at = <const unsigned char*> PyBytes_AS_STRING(raw) + begin
    cdef list values = []
    cdef Py_ssize_t k
    for k in range(n):
        values.append(<uint32_t> at[0] | <uint32_t> at[1] << 8 | <uint32_t> at[2] << 16)
        at += 3
    return values


def pack(bytes head, dict counts, dict windows, bytes texts, list shown, bytes tail):
    """See the stub for what is given."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(texts) + PyBytes_GET_SIZE(tail), length
    cdef const char* raw
    for name in counts:
        PyUnicode_AsUTF8AndSize(name, &length)
        if length > 255:
            raise ValueError(f"{name!r} is too long a name of a count")
        size += 5 + length
    size += 24 * len(windows) + 3 * len(shown)
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, size)
    cdef unsigned char* at = <unsigned char*> PyBytes_AS_STRING(packed)
    at = _copy(at, head)
    cdef uint32_t count
    for name, n in counts.items():
        raw = PyUnicode_AsUTF8AndSize(name, &length)
        at[0] = <unsigned char> length
        memcpy(at + 1, raw, length)
        count = <uint32_t> min(n, 0xFFFFFFFF)
        at = _little(at + 1 + length, count, 4)
    cdef int64_t mark
    cdef double seen, acted
    for landmark, (impressions, clicks) in windows.items():
        mark, seen, acted = landmark, impressions, clicks
        at = _little(at, <unsigned long long> mark, 8)
        at = _double(at, seen)
        at = _double(at, acted)
    at = _copy(at, texts)
    at = _put(at, shown)
    _copy(at, tail)
    return packed


cdef unsigned char* _copy(unsigned char* at, bytes part) noexcept:
    cdef Py_ssize_t n = PyBytes_GET_SIZE(part)
    memcpy(at, PyBytes_AS_STRING(part), n)
    return at + n


cdef unsigned char* _little(unsigned char* at, unsigned long long value, int n) noexcept:
    cdef int k
    for k in range(n):
        at[k] = <unsigned char> (value >> (8 * k) & 0xFF)
    return at + n


cdef unsigned char* _double(unsigned char* at, double value) noexcept:
    cdef unsigned long long raw
    memcpy(&raw, &value, 8)
    return _little(at, raw, 8)


cdef unsigned char* _put(unsigned char* at, values) except NULL:
    cdef uint32_t value
    for one in values:
        value = one
        at = _little(at, value, 3)
    return at
