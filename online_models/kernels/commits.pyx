"""The writes of a commit, checked and laid out: those that are plainly right here, all others by ``checked``."""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.tuple cimport PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Tailmatch

cdef long long MOST_INCREMENT = 1 << 31
cdef long long MOST_EXPIRY = 1 << 53
cdef double MOST_FLOAT = 1e150
cdef int SET = 1, HINCRBY = 2, HINCRBYFLOAT = 3, ZINCRBY = 4, PEXPIRE = 5, HSET = 6
cdef dict _CODES = {
    "SET": SET, "HINCRBY": HINCRBY, "HINCRBYFLOAT": HINCRBYFLOAT, "ZINCRBY": ZINCRBY, "PEXPIRE": PEXPIRE, "HSET": HSET,
}
cdef tuple _KINDS = ("", "string", "hash", "hash", "zset", "", "hash")


def lay_out(writes, str prefix, Py_ssize_t most, checked, begins, refused, split):
    """See the stub for what is given."""
    cdef dict types = {}
    cdef list asked = [], sources = [], args = [], head
    cdef Py_ssize_t index, at = 0, count = 0, n
    cdef tuple write
    cdef int code
    last_name = last_key = None
    for index, given in enumerate(writes):
        write = given if type(given) is tuple else tuple(given)
        n = PyTuple_GET_SIZE(write)
        code = _code(write, n)
        kind = _KINDS[code] if code else checked(write, index)
        name, key = write[0], write[1]
        if not (type(key) is str and PyUnicode_Tailmatch(key, prefix, 0, 1 << 62, -1) == 1 or begins(key, prefix)):
            refused(f"write {index}: key {key!r} does not begin with {prefix!r}", index)
        if kind:
            held = types.get(key)
            if held is None:
                types[key] = kind
                if name != "SET":  # which takes the place of whatever is there
                    asked.append(key)
                    asked.append(kind)
                    sources.append(index)
            elif held != kind:
                refused(f"write {index}: {key!r} is written as two types", index)
        if HINCRBY <= code <= ZINCRBY and name == last_name and key == last_key:
            count += 2
            args[at] = count
            args.append(write[2])
            args.append(write[3])
        elif n <= most:
            last_name, last_key, at, count = name, key, len(args), n
            args.append(n)
            args.extend(write)
        else:
            last_name = None
            split(write, index, args)
    head = [len(sources)]
    head.extend(asked)
    head.extend(args)
    return head, sources


cdef int _code(tuple write, Py_ssize_t n) except -1:
    """What a write is that is plainly right; 0 when it is to be looked at."""
    cdef int code
    cdef Py_ssize_t k
    if n < 3 or type(write[0]) is not str:
        return 0
    found = _CODES.get(write[0])
    if found is None:
        return 0
    code = found
    for k in range(1, n):
        kind = type(write[k])
        if not (kind is str or kind is bytes or kind is int or kind is float):
            return 0
    if code == SET:
        return code if n == 3 or (n == 5 and write[3] == "PX" and _whole(write[4], 1, MOST_EXPIRY - 1)) else 0
    if code == PEXPIRE:
        return code if n == 3 and _whole(write[2], 1, MOST_EXPIRY - 1) else 0
    if code == HSET:
        return code if n >= 4 and n % 2 == 0 else 0
    if n != 4:
        return 0
    if code == HINCRBY:
        return code if _whole(write[3], -MOST_INCREMENT, MOST_INCREMENT) else 0
    increment = write[3] if code == HINCRBYFLOAT else write[2]
    if not PyFloat_CheckExact(increment):
        return 0
    return code if -MOST_FLOAT <= PyFloat_AS_DOUBLE(increment) <= MOST_FLOAT else 0


cdef bint _whole(object value, long long least, long long most) except -1:
    cdef int overflow = 0
    cdef long long whole
    if not PyLong_CheckExact(value):
        return False
    whole = PyLong_AsLongLongAndOverflow(value, &overflow)
    return overflow == 0 and least <= whole <= most
