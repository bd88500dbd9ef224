"""Where a wallet is at home: the one partition, and so the one shard, that decides for it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

_CACHED_MAX = 65_536
_NO_SIGN = 0x7FFFFFFF


@lru_cache(_CACHED_MAX)
def home(wallet_id: str, partitions: int) -> int:
    """The partition that a Java client picks for the key `wallet_id` among `partitions`."""
    return int(murmur2(wallet_id.encode()) & _NO_SIGN) % partitions
