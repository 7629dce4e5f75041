"""Where a key goes: Kafka's default partitioner, so that a Java producer with the same key meets the same partition."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.deployments import TenantSettings


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: murmur2 of its UTF-8 bytes, sign bit cleared, modulo the count.

    >>> partition_of("acme", 1)
    0
    """
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


lane_partition = lru_cache(maxsize=65_536)(partition_of)
"""`partition_of` for keys that come again and again: lanes and tenants."""


def lane_of(tenant: str, request_id: str, settings: TenantSettings | None) -> str:
    """The tenant, or one of its lanes when it spreads over several.

    Chosen by the request_id, so that an id sent again meets its first.

    >>> lane_of("acme", "r1", None)
    'acme'
    """
    if settings is None or settings.lanes == 1:
        return tenant
    return f"{tenant}#{partition_of(request_id, settings.lanes)}"
