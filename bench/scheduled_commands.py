"""Commands that are sent at given times, and how long each takes from its time to its commit.

Open-loop: a command is sent when its time has come, however late earlier ones are, and what it took
counts from that time on. So neither an engine that stalls nor a late sender hides anything.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from bench.errors import BenchError
from bench.latencies import Latencies
from bench.load import Command
from engine.hints import Hint
from engine.kafka import client_options
from engine.settings import Settings
from engine.topology import home

_TICK_S = 0.001
_LEAD_S = 0.2
_DRAIN_S_MAX = 60
_BATCH_BYTES_MAX = 500_000


class Scheduled(NamedTuple):
    """A command and its time, in seconds from the start."""

    at: float
    key: bytes
    payload: bytes


class PartitionSchedule:
    """The commands of one partition, which goes on at `offset`, in the order of their times."""

    def __init__(self, offset: int) -> None:
        self.commands: list[Scheduled] = []
        self.sent = 0
        self.committed = 0
        self._offset = offset

    @property
    def next_at(self) -> float | None:
        """When the next one is due; None if all have been sent."""
        return self.commands[self.sent].at if self.sent < len(self.commands) else None

    def commit(self, next_offset: int, after_start_s: float, latencies: Latencies) -> None:
        """All below `next_offset` have been committed by now."""
        until = min(next_offset - self._offset, len(self.commands))
        for command in self.commands[self.committed : until]:
            latencies.record(after_start_s - command.at)
        self.committed = max(self.committed, until)


class Schedule:
    """Commands at an even rate over all partitions, which go on at `offsets`."""

    def __init__(self, commands: Iterable[Command], rate: float, offsets: Sequence[int]) -> None:
        self.latencies = Latencies()
        self.partitions = [PartitionSchedule(offset) for offset in offsets]
        self.sent_late_s_max = 0.0
        self._done = asyncio.Event()
        self._start = 0.0
        for number, (wallet_id, payload) in enumerate(commands):
            scheduled = Scheduled(number / rate, wallet_id.encode(), payload)
            self.partitions[home(wallet_id, len(offsets))].commands.append(scheduled)

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Listens to what the engine notifies of."""
        now = self._now()
        hint = Hint.from_text(str(payload))
        self.partitions[hint.shard].commit(hint.next_offset, now, self.latencies)
        if all(each.committed == len(each.commands) for each in self.partitions):
            self._done.set()

    async def send(self, settings: Settings) -> None:
        """Send all at their times; return when all are committed."""
        producer = AIOKafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES_MAX,
        )
        try:
            await producer.start()
            self._start = time.perf_counter() + _LEAD_S
            async with asyncio.TaskGroup() as group:
                for number, partition in enumerate(self.partitions):
                    group.create_task(
                        self._send_partition(producer, settings.commands_topic, number, partition)
                    )
            async with asyncio.timeout(_DRAIN_S_MAX):
                await self._done.wait()
        except TimeoutError:
            raise BenchError(f"not all was committed {_DRAIN_S_MAX} s after it was sent") from None
        finally:
            await producer.stop()

    async def _send_partition(
        self, producer: AIOKafkaProducer, topic: str, number: int, partition: PartitionSchedule
    ) -> None:
        while (next_at := partition.next_at) is not None:
            now = self._now()
            if next_at > now:
                await asyncio.sleep(max(_TICK_S, next_at - now))
                continue
            self.sent_late_s_max = max(self.sent_late_s_max, now - next_at)
            batch = producer.create_batch()
            due = partition.sent
            while due < len(partition.commands) and partition.commands[due].at <= now:
                command = partition.commands[due]
                if not batch.append(
                    timestamp=None, key=command.key, value=command.payload, headers=[]
                ):
                    break
                due += 1
            partition.sent = due
            await (await producer.send_batch(batch, topic, partition=number))

    def _now(self) -> float:
        return time.perf_counter() - self._start
