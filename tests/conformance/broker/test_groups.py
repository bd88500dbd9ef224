"""Members of a group: who gets which partitions, and when; and what committing an offset proves."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from tests.conformance.broker.clusters import SESSION_MS, Cluster, Topic, read, until


class Turns(ConsumerRebalanceListener):
    """Notes what the listener of a member is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[TopicPartition]]] = []
        self.revoking_s = 0.0

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.told.append(("revoked", set(revoked)))
        await asyncio.sleep(self.revoking_s)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.told.append(("assigned", set(assigned)))


def held(*members: Any) -> list[set[TopicPartition]]:
    return [set(member.assignment()) for member in members]


def test_one_member_gets_everything_and_is_told_so(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        turns = Turns()
        member = await topic.member(turns)
        await until(lambda: member.assignment() == topic.places)
        await until(lambda: turns.told == [("revoked", set()), ("assigned", topic.places)])

    cluster.run(scenario, 3)


def test_a_second_member_takes_over_a_part_and_gives_it_back(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        turns = Turns()
        first = await topic.member(turns)
        await until(lambda: first.assignment() == topic.places)
        second = await topic.member()
        await until(lambda: all(len(part) == 2 for part in held(first, second)))
        mine, others = held(first, second)
        assert (mine | others, mine & others) == (topic.places, set())
        # everything is revoked, also what it keeps
        everything = [("assigned", topic.places), ("revoked", topic.places), ("assigned", mine)]
        await until(lambda: turns.told[1:] == everything)
        await second.stop()
        await until(lambda: first.assignment() == topic.places)

    cluster.run(scenario, 4)


def test_who_vanishes_is_missed_after_the_session_time_out(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        first, second = await topic.member(), await topic.member()
        await until(lambda: all(len(part) == 1 for part in held(first, second)))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await cluster.vanish(second)
        await until(lambda: first.assignment() == topic.places)
        assert loop.time() - began > SESSION_MS / 1000 * 0.7

    cluster.run(scenario, 2)


def test_a_member_that_is_slow_to_revoke_holds_the_others_up(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        turns = Turns()
        turns.revoking_s = SESSION_MS / 1000 * 0.5
        first = await topic.member(turns)
        await until(lambda: first.assignment() == topic.places)
        loop = asyncio.get_running_loop()
        began = loop.time()
        second = await topic.member()
        await until(second.assignment)
        assert loop.time() - began > turns.revoking_s * 0.9

    cluster.run(scenario, 2)


def test_a_rebalance_forgets_pauses(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        first = await topic.member()
        await until(lambda: first.assignment() == topic.places)
        first.pause(*topic.places)
        second = await topic.member()
        await until(lambda: all(len(part) == 1 for part in held(first, second)))
        assert first.paused() == set()

    cluster.run(scenario, 2)


def test_a_member_begins_at_the_start_or_at_what_was_committed(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        await topic.send(b"0", b"1", b"2")
        first = await topic.member()
        assert [record.offset for record in await read(first, 3)] == [0, 1, 2]
        await first.commit({topic.place(): OffsetAndMetadata(2, "")})
        await first.stop()
        second = await topic.member()
        assert [record.offset for record in await read(second, 1)] == [2]

    cluster.run(scenario, 1)


def test_who_is_no_member_any_more_commits_nothing(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        first = await topic.member()
        await until(lambda: first.assignment() == topic.places)
        await first.commit({topic.place(): OffsetAndMetadata(0, "")})
        await cluster.vanish(first)
        second = await topic.member()
        await until(lambda: second.assignment() == topic.places)
        with pytest.raises(CommitFailedError):
            await first.commit({topic.place(): OffsetAndMetadata(0, "")})
        await second.commit({topic.place(): OffsetAndMetadata(0, "")})

    cluster.run(scenario, 1)


def test_offsets_of_others_partitions_are_not_committed(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        first, second = await topic.member(), await topic.member()
        await until(lambda: all(len(part) == 1 for part in held(first, second)))
        (others,) = second.assignment()
        with pytest.raises(IllegalStateError):
            await first.commit({others: OffsetAndMetadata(0, "")})

    cluster.run(scenario, 2)
