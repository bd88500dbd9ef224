"""Where a delivery may begin, and what it tells of the topic when it begins elsewhere."""

import pytest

from engine.errors import ShardHaltedError
from engine.placement import Placement


def at(offset: int) -> Placement:
    return Placement(0, offset)


async def ends(begin: int, end: int) -> tuple[int, int]:
    return begin, end


def test_deliveries_in_sequence_are_accepted() -> None:
    placement = at(200)
    assert placement.place(200, 299) == "accept"
    assert placement.place(300, 300) == "accept"
    assert placement.expected == 301


def test_what_begins_later_is_sought_back_and_moves_nothing() -> None:
    placement = at(200)
    assert placement.place(300, 399) == "seek_back"
    assert placement.expected == 200
    assert placement.place(200, 299) == "accept"


def test_a_stale_delivery_and_then_another_one_are_both_dropped() -> None:
    placement = at(200)
    assert placement.place(400, 499) == "seek_back"
    assert placement.place(300, 399) == "seek_back"
    assert placement.expected == 200


async def test_a_gap_is_accepted_only_when_it_comes_again_and_nothing_was_deleted() -> None:
    placement = at(200)
    assert placement.place(203, 210) == "seek_back"
    assert placement.place(203, 210) == "judge"
    await placement.judge(lambda: ends(0, 211))
    assert placement.expected == 200
    assert placement.place(203, 210) == "accept"
    assert placement.expected == 211


async def test_after_a_gap_was_judged_only_its_end_or_what_was_expected_is_accepted() -> None:
    placement = at(200)
    placement.place(203, 210)
    placement.place(203, 210)
    await placement.judge(lambda: ends(0, 211))
    assert placement.place(205, 210) == "seek_back"
    assert placement.place(200, 202) == "accept"
    # the gap that was judged belongs to another place now
    assert placement.place(300, 310) == "seek_back"


async def test_a_partition_that_begins_past_the_shard_has_lost_commands() -> None:
    placement = at(200)
    placement.place(300, 310)
    assert placement.place(300, 310) == "judge"
    with pytest.raises(ShardHaltedError, match="begins at offset 300") as caught:
        await placement.judge(lambda: ends(300, 311))
    assert caught.value.code == "commands_deleted"


async def test_a_delivery_before_the_shard_twice_is_another_topic() -> None:
    placement = at(200)
    assert placement.place(0, 9) == "seek_back"
    assert placement.place(0, 9) == "judge"
    with pytest.raises(ShardHaltedError, match="created anew") as caught:
        await placement.judge(lambda: ends(0, 10))
    assert caught.value.code == "commands_topic_replaced"


async def test_late_deliveries_of_what_is_decided_are_dropped_while_the_topic_is_whole() -> None:
    placement = at(200)
    assert placement.place(190, 209) == "seek_back"
    assert placement.place(190, 209) == "judge"
    await placement.judge(lambda: ends(0, 210))
    assert placement.expected == 200
    assert placement.place(190, 209) == "seek_back"
    assert placement.place(200, 209) == "accept"
