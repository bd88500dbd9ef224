"""Record batches that no well-behaved client would send, made byte by byte."""

from aiokafka import AIOKafkaProducer
from aiokafka.record._crc32c import crc as crc32c

_CRC_AT, _CRC_OVER = 17, 21


async def send_with_header_name(
    bootstrap: str, topic: str, partition: int, payload: bytes, name: bytes
) -> int:
    """Send one record whose only header is named by these bytes; its offset."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        placeholder = "N" * len(name)
        batch = producer.create_batch()
        batch.append(key=None, value=payload, timestamp=None, headers=[(placeholder, b"x")])
        raw = bytearray(bytes(batch._build()).replace(placeholder.encode(), name))
        raw[_CRC_AT:_CRC_OVER] = crc32c(bytes(raw[_CRC_OVER:])).to_bytes(4, "big")
        batch._buffer = raw
        sent = await (await producer.send_batch(batch, topic, partition=partition))
        return int(sent.offset)
    finally:
        await producer.stop()
