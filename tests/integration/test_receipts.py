"""A receipt, that is a partition and an offset, leads to exactly one outcome."""

import pytest

from engine.migrate import migrate
from engine.receipts import (
    Accepted,
    DeadLettered,
    OutcomeMissingError,
    Receipt,
    Rejected,
    resolve,
    resolve_many,
)
from schemas.commands import Close, CreateWallet, Debit, TopUp
from schemas.events import Closed, Debited
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder

DEBIT = Debit(wallet_id="wal_a", reference="d1", amount=70)


@pytest.fixture
async def connection(database_url):
    await migrate(database_url)
    async with connection_to(database_url) as connection:
        yield connection


def opened(shard=0):
    """Offsets 0 and 1: wal_a with a balance of 100."""
    return HistoryBuilder(shard).create("wal_a").topup("wal_a", 100, reference="t1")


async def set_aside(connection, shard, offset):
    await connection.execute(
        'INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at)'
        " VALUES ($1, $2, 'decider_failed', 'it broke', now())",
        shard,
        offset,
    )


async def test_a_record_is_undecided_until_the_shard_is_past_it(connection):
    history = opened().send(DEBIT)
    receipt = Receipt(DEBIT, 0, 2)

    assert await resolve(connection, receipt) is None  # no engine has seen the shard
    await history.write(connection, count=2)
    assert await resolve(connection, receipt) is None
    await history.write(connection)

    outcome = await resolve(connection, receipt)
    assert isinstance(outcome, Accepted)
    assert not outcome.duplicate
    assert isinstance(outcome.entry.event, Debited)
    assert outcome.entry.event.balance_after == 30


async def test_a_repeat_resolves_to_the_first_records_outcome(connection):
    await opened().send(DEBIT).send(DEBIT).write(connection)

    first, second = await resolve_many(connection, [Receipt(DEBIT, 0, 2), Receipt(DEBIT, 0, 3)])

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.entry == second.entry


async def test_a_rejection_stays_one_when_it_would_now_be_accepted(connection):
    debit = Debit(wallet_id="wal_a", reference="d1", amount=700)
    await opened().send(debit).topup("wal_a", 1000).send(debit).write(connection)

    first, again = await resolve_many(connection, [Receipt(debit, 0, 2), Receipt(debit, 0, 4)])

    assert isinstance(first, Rejected)
    assert isinstance(again, Rejected)
    assert first.rejection.code == "insufficient_funds"
    assert (first.duplicate, again.duplicate) == (False, True)


async def test_another_body_under_a_taken_reference_is_its_own_conflict(connection):
    other = Debit(wallet_id="wal_a", reference="d1", amount=71)
    await opened().send(DEBIT).send(other).send(other).write(connection)

    outcomes = await resolve_many(
        connection, [Receipt(DEBIT, 0, 2), Receipt(other, 0, 3), Receipt(other, 0, 4)]
    )

    assert isinstance(outcomes[0], Accepted)
    assert [(o.rejection.code, o.duplicate) for o in outcomes[1:]] == [
        ("reference_conflict", False),
        ("reference_conflict", True),
    ]


async def test_a_strangers_refusal_does_not_hide_the_owners_outcome(connection):
    stranger = Debit(wallet_id="wal_a", reference="d1", amount=70, merchant_id="mch_other")
    await opened().send(stranger).send(DEBIT).write(connection)

    refused, accepted = await resolve_many(
        connection, [Receipt(stranger, 0, 2), Receipt(DEBIT, 0, 3)]
    )

    assert isinstance(refused, Rejected)
    assert refused.rejection.code == "wallet_not_found"
    assert isinstance(accepted, Accepted)


async def test_of_a_command_with_several_entries_the_last_is_the_outcome(connection):
    close = Close(wallet_id="wal_a", reference="c1")
    await opened().send(close).write(connection)

    outcome = await resolve(connection, Receipt(close, 0, 2))

    assert isinstance(outcome, Accepted)
    assert isinstance(outcome.entry.event, Closed)


async def test_what_no_command_can_be_read_from_is_a_dead_letter(connection):
    history = opened()
    history.next_offset += 1
    await history.write(connection)
    await set_aside(connection, 0, 2)

    outcome = await resolve(connection, Receipt(None, 0, 2))

    assert outcome == DeadLettered(0, 2, "decider_failed", "it broke")


async def test_an_entry_comes_before_a_dead_letter_of_the_same_command(connection):
    """The first try broke the decider, the retried letter was accepted."""
    history = opened()
    history.next_offset += 1
    await history.send(DEBIT).write(connection)
    await set_aside(connection, 0, 2)

    outcome = await resolve(connection, Receipt(DEBIT, 0, 2))

    assert isinstance(outcome, Accepted)
    assert outcome.duplicate


async def test_a_forward_is_followed_to_the_wallets_home(connection):
    home = opened(shard=1)
    await home.write(connection)
    stray = HistoryBuilder(shard=0)
    stray.next_offset = 6
    await stray.write(connection)
    await connection.execute("INSERT INTO forwards VALUES (0, 5, 1, 2)")
    receipt = Receipt(DEBIT, 0, 5)

    assert await resolve(connection, receipt) is None  # forwarded, and not decided at home
    await home.send(DEBIT).write(connection)

    outcome = await resolve(connection, receipt)
    assert isinstance(outcome, Accepted)
    assert (outcome.entry.shard, outcome.entry.offset) == (1, 2)
    assert not outcome.duplicate


async def test_outcomes_come_in_the_order_that_was_asked_for(connection):
    history = opened()
    commands = [TopUp(wallet_id="wal_a", reference=f"n{i}", amount=i + 1) for i in range(50)]
    for command in commands:
        history.send(command)
    await history.write(connection)
    receipts = [Receipt(command, 0, offset + 2) for offset, command in enumerate(commands)]

    outcomes = await resolve_many(connection, [*reversed(receipts), Receipt(None, 0, 99)])

    assert [outcome.entry.event.amount for outcome in outcomes[:-1]] == list(range(50, 0, -1))
    assert outcomes[-1] is None


async def test_a_decided_record_without_an_outcome_is_an_error(connection):
    history = opened()
    history.next_offset += 1
    await history.write(connection)
    create = CreateWallet(
        wallet_id="wal_b",
        reference="open",
        merchant_id="mch_1",
        environment="live",
        customer_id="cus_1",
        currency="GHS",
    )

    with pytest.raises(OutcomeMissingError, match=r"partition 0, offset 2.*wal_b.*'open'"):
        await resolve(connection, Receipt(create, 0, 2))
