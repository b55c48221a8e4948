"""The partition of a key: murmur2, as Java's, kafka-python's and aiokafka's producers compute it.

librdkafka (kcat, confluent-kafka, Go, .NET) hashes otherwise unless told ``partitioner=murmur2_random``; a user would
then have two owners. So freshet computes the partition by itself, everywhere.
"""

from __future__ import annotations

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of Kafka's Java client, as an unsigned integer.

    Source: ``org.apache.kafka.common.utils.Utils.murmur2``.

    >>> murmur2(b"21") == -973932308 & 0xFFFFFFFF
    True
    """
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        k = (int.from_bytes(data[at : at + 4], "little") * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if length > whole:
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition of a key among ``partitions``.

    >>> partition_of("user-7", 32) == partition_of(b"user-7", 32)
    True
    """
    data = key.encode() if isinstance(key, str) else key
    return (murmur2(data) & 0x7FFFFFFF) % partitions
