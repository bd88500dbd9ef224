"""A wallet's home is where Java's default partitioner would put its records."""

import pytest

from engine.topology import home

# hashes from Apache Kafka's own UtilsTest.testMurmur2
JAVA_HASHES = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("key", "java_hash"), JAVA_HASHES.items())
@pytest.mark.parametrize("partitions", [1, 4, 12, 4096])
def test_home_is_the_partition_a_java_client_picks(key, java_hash, partitions):
    assert home(key, partitions) == (java_hash & 0x7FFFFFFF) % partitions
