"""The partition of a key is the one Java's producer chooses."""

from __future__ import annotations

import aiokafka.partitioner
import kafka.partitioner.default as kafka_python
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.partitioner import murmur2, partition_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "java"), JAVA.items())
def test_it_gives_the_values_of_javas_own_test(text: str, java: int) -> None:
    assert murmur2(text.encode()) == java & 0xFFFFFFFF


@given(st.binary(max_size=70))
def test_it_agrees_with_kafka_python_and_aiokafka(key: bytes) -> None:
    assert murmur2(key) == kafka_python.murmur2(key) & 0xFFFFFFFF
    assert murmur2(key) == aiokafka.partitioner.murmur2(key) & 0xFFFFFFFF


@given(st.text(max_size=40), st.integers(1, 1000))
def test_text_goes_where_its_utf8_bytes_go(key: str, partitions: int) -> None:
    assert partition_of(key, partitions) == partition_of(key.encode(), partitions)
    assert 0 <= partition_of(key, partitions) < partitions
