"""The stream of lines keeps their order, and says what is known when Kafka fails it."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.producer.message_accumulator import BatchBuilder

from cli.command_lines import read_line
from cli.errors import SendFailedError
from cli.sending import BATCHES_UNDER_WAY_MAX, CommandStream
from engine.topology import home

PARTITIONS = 4
BATCH_BYTES = 500


class Producer:
    """Hands out each batch's acknowledgement to the test."""

    def __init__(self):
        self.batches = []

    def create_batch(self):
        return BatchBuilder(BATCH_BYTES, 0)

    async def send_batch(self, batch, topic, *, partition):
        acknowledgement = asyncio.get_running_loop().create_future()
        self.batches.append((partition, batch.record_count(), acknowledgement))
        return acknowledgement

    def acknowledge(self, number, offset):
        self.batches[number][2].set_result(SimpleNamespace(offset=offset))


@pytest.fixture
def producer():
    return Producer()


@pytest.fixture
async def stream(producer):
    stream = CommandStream(producer, "commands", PARTITIONS, acknowledge_timeout_s=0.05)
    yield stream
    await stream.give_up()


def line(number, wallet="wal_a"):
    data = b'{"type":"freeze","wallet_id":"%b","reference":"%d"}' % (wallet.encode(), number)
    return read_line(number, data, raw=False)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_lines_get_the_offsets_of_their_places_in_the_batch(stream, producer):
    for number in range(3):
        await stream.add(line(number))
    await stream.flush()
    assert stream.take_acknowledged() == []

    producer.acknowledge(0, 40)
    await settle()

    taken = stream.take_acknowledged()
    assert [(sent.line.number, sent.offset) for sent in taken] == [(0, 40), (1, 41), (2, 42)]
    assert {sent.partition for sent in taken} == {home("wal_a", PARTITIONS)}
    assert stream.take_acknowledged() == []
    assert stream.acknowledged == 3


async def test_lines_are_taken_in_their_order_whichever_partition_answers_first(stream, producer):
    first, second = "wal_a", "wal_b"
    assert home(first, PARTITIONS) != home(second, PARTITIONS)
    await stream.add(line(1, first))
    await stream.add(line(2, second))
    await stream.flush()

    producer.acknowledge(1, 0)
    await settle()
    assert stream.take_acknowledged() == []
    assert stream.pending == 2
    producer.acknowledge(0, 0)
    await settle()

    assert [sent.line.number for sent in stream.take_acknowledged()] == [1, 2]
    assert stream.pending == 0


async def test_a_full_batch_is_sent_before_the_next_is_begun(stream, producer):
    for number in range(20):
        await stream.add(line(number))
    await stream.flush()

    counts = [count for _, count, _ in producer.batches]
    assert len(counts) > 1
    assert sum(counts) == 20


async def test_so_many_batches_are_under_way_and_no_more(stream, producer):
    async def flood():
        for number in range(20 * BATCHES_UNDER_WAY_MAX):
            await stream.add(line(number))

    with pytest.raises(SendFailedError, match="silent"):
        async with asyncio.timeout(20):
            await flood()
    assert len(producer.batches) == BATCHES_UNDER_WAY_MAX


async def test_a_silent_broker_is_not_waited_for_for_ever(stream, producer):
    await stream.add(line(1))

    with pytest.raises(SendFailedError, match="silent"):
        async with asyncio.timeout(20):
            await stream.drain()


async def test_a_refusal_says_how_much_was_acknowledged_and_what_to_do(stream, producer):
    await stream.add(line(1, "wal_a"))
    await stream.add(line(2, "wal_b"))
    await stream.flush()
    producer.acknowledge(0, 7)
    await settle()
    producer.batches[1][2].set_exception(OutOfOrderSequenceNumber())

    with pytest.raises(SendFailedError, match="1 lines were acknowledged") as failure:
        await stream.drain()
    assert "again" in str(failure.value)
