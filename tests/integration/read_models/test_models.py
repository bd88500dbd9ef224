"""The SQL that fills the read models gives what a plain replay of the log gives."""

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.decider import evolve, expire_due
from engine.wallet import LOTS_MAX
from schemas.ids import transaction_id
from schemas.money import AMOUNT_MAX
from tests.support.history import START, HistoryBuilder
from tests.support.random_history import STEPS, play, random_history
from tests.support.read_models import catch_up, differences

SHARDS = count()
"""Each example of hypothesis has a shard of its own, so all can share a database."""


async def write_and_catch_up(connection, history):
    await history.write(connection)
    await catch_up(connection)


async def rows_of(connection, query, *arguments):
    return [tuple(row) for row in await connection.fetch(query, *arguments)]


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, entries_max=st.sampled_from([1, 2, 5, 1_000]))
async def test_every_model_equals_a_replay_of_any_history(connection, steps, entries_max):
    history = play(steps, shard=next(SHARDS))
    await history.write(connection)

    await catch_up(connection, entries_max=entries_max)

    assert await differences(connection, history.shard) == []


@pytest.mark.parametrize("entries_max", [97, 5_000])
async def test_a_long_history_in_ranges_of_any_size(connection, entries_max):
    history = random_history(7, shard=3, steps=6_000, wallets=40)
    kinds = {type(entry.event).__name__ for entry in history.entries}
    assert kinds >= {"Expired", "WrittenOff", "Closed", "Frozen", "CommandRejected"}
    await history.write(connection)

    await catch_up(connection, entries_max=entries_max)

    assert await differences(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM wallets") == 40
    assert await connection.fetchval("SELECT bool_or(remaining < 0) FROM lots")


DAMAGE = {
    "UPDATE wallets_1 SET balance = balance + 1": "balance is 471, a replay gives 470",
    "UPDATE wallets_1 SET metadata = '{\"vip\": 1}'": "metadata is",
    "DELETE FROM wallets_1": "the row is missing",
    "UPDATE lots_1 SET remaining = remaining - 1 WHERE lot = 2": "remaining is 399",
    "DELETE FROM lots_1 WHERE lot = 3": "lot 3: the row is missing",
    "UPDATE lots_1 SET lot = 9 WHERE lot = 3": "lot 9: the row should not be there",
    "UPDATE transactions_1 SET description = 'x' WHERE position = 1": "description is 'x'",
    "DELETE FROM transactions_1 WHERE position = 3": "position 3: the row is missing",
    "UPDATE transactions_1 SET position = 0 WHERE position = 1": "position 0: the row should not",
    "UPDATE postings_1 SET amount = 0 WHERE position = 1 AND line = 1": "amount is 0",
    "UPDATE postings_1 SET account = 'x' WHERE position = 1": "account is 'x'",
    "DELETE FROM postings_1 WHERE position = 1 AND line = 0": "line 0: the row is missing",
}


async def test_a_comparison_finds_and_names_any_wrong_row(connection):
    for shard in range(len(DAMAGE)):
        name = f"wal_{shard}"
        history = HistoryBuilder(shard).create(name, metadata={"vip": True}).topup(name, 400)
        history.credit(name, 100, lasts=60).debit(name, 30, description="y")
        await history.write(connection)
    await catch_up(connection)
    assert await differences(connection) == []

    for shard, (damage, told) in enumerate(DAMAGE.items()):
        condition = " AND" if "WHERE" in damage else " WHERE"
        await connection.execute(f"{damage}{condition} shard = {shard}")

        assert told in " | ".join(await differences(connection, shard)), damage


async def test_wallets_show_the_last_word_of_each_entry(connection):
    history = HistoryBuilder().create("wal_a", customer_id="cus_7", metadata={"tier": "gold"})
    history.wait(5).topup("wal_a", 500).wait(5).debit("wal_a", 20).wait(5).freeze("wal_a")
    history.wait(5).debit("wal_a", 20)
    await write_and_catch_up(connection, history)

    query = (
        "SELECT merchant_id, environment, customer_id, currency, status, balance, version,"
        " metadata, created_at, updated_at FROM wallets"
    )
    # the refused debit changes nothing
    assert await rows_of(connection, query) == [
        (
            *("mch_1", "live", "cus_7", "GHS", "frozen", 480, 4, '{"tier": "gold"}'),
            *(START, START + timedelta(seconds=15)),
        )
    ]


async def test_what_is_owed_is_a_negative_lot_until_a_credit_settles_it(connection):
    query = "SELECT lot, remaining, expires_at, priority FROM lots ORDER BY lot"
    history = HistoryBuilder().create("wal_a", credit_limit=500).topup("wal_a", 100)
    history.debit("wal_a", 350)
    await write_and_catch_up(connection, history)
    assert await rows_of(connection, query) == [(0, -250, None, 100)]

    history.credit("wal_a", 200, lasts=60)
    await write_and_catch_up(connection, history)
    assert await rows_of(connection, query) == [(0, -50, None, 100)]

    ends_at = history.now + timedelta(seconds=60)
    history.credit("wal_a", 80, lasts=60, priority=7)
    await write_and_catch_up(connection, history)
    assert await rows_of(connection, query) == [(5, 30, ends_at, 7)]


async def test_closing_an_overdrawn_wallet_forgives_what_is_owed(connection):
    history = HistoryBuilder().create("wal_a", credit_limit=500).debit("wal_a", 350).close("wal_a")
    await write_and_catch_up(connection, history)

    assert await rows_of(connection, "SELECT * FROM lots") == []
    assert await rows_of(
        connection, "SELECT type, amount FROM transactions ORDER BY position"
    ) == [
        ("debit", 350),
        ("write_off", -350),
    ]
    assert await rows_of(
        connection, "SELECT account, sum(amount)::bigint FROM postings GROUP BY account ORDER BY 1"
    ) == [("usage:mch_1:live", 350), ("wallet:wal_a", 0), ("written_off:mch_1:live", -350)]


async def test_a_top_up_at_the_bound_of_lots_joins_an_older_one(connection):
    history = HistoryBuilder().create("wal_a").topup("wal_a", 5)
    for _ in range(LOTS_MAX - 1):
        history.credit("wal_a", 1, priority=1)
    history.topup("wal_a", 7)
    assert history.entries[-1].event.lot == 2
    await write_and_catch_up(connection, history)

    assert await connection.fetchval("SELECT remaining FROM lots WHERE lot = 2") == 12
    assert await differences(connection) == []


async def test_the_live_balance_of_any_moment_comes_from_lots_alone(connection):
    history = random_history(11, steps=800, wallets=12)
    await write_and_catch_up(connection, history)
    query = """
        SELECT w.wallet_id, coalesce(sum(l.remaining) FILTER (
                   WHERE l.expires_at IS NULL OR l.expires_at > $1), 0)::bigint
          FROM wallets w LEFT JOIN lots l USING (shard, wallet_id) GROUP BY w.wallet_id
    """
    ends = sorted({lot.expires_at for w in history.wallets.values() for lot in w.lots} - {None})
    assert ends

    for moment in (history.now, ends[0] - timedelta(microseconds=1), ends[0], ends[-1]):
        live = dict(await rows_of(connection, query, moment))
        for wallet_id, wallet in history.wallets.items():
            for event in expire_due(wallet, moment):
                wallet = evolve(wallet, event)  # noqa: PLW2901
            assert live[wallet_id] == wallet.balance


async def test_each_transaction_balances_per_currency_and_wallets_add_up(connection):
    await write_and_catch_up(connection, random_history(5, steps=3_000, wallets=30))

    lines = await rows_of(
        connection,
        "SELECT count(*), count(DISTINCT currency), sum(amount)::bigint FROM postings"
        " GROUP BY shard, position",
    )
    assert len(lines) > 1_000
    assert set(lines) == {(2, 1, 0)}
    totals = await rows_of(
        connection, "SELECT currency, sum(amount)::bigint FROM postings GROUP BY 1 ORDER BY 1"
    )
    assert totals == [("GHS", 0), ("USD", 0)]
    assert not await rows_of(
        connection,
        "SELECT * FROM wallets w WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM postings"
        " WHERE account = 'wallet:' || w.wallet_id)",
    )


async def test_accounts_say_where_money_came_from_and_went(connection):
    history = HistoryBuilder().create("wal_a", merchant_id="mch_9", environment="sandbox")
    history.topup("wal_a", 100).credit("wal_a", 30, lasts=10).credit("wal_a", 7).debit("wal_a", 20)
    history.wait(10).expire("wal_a").topup("wal_a", 1).close("wal_a")
    await write_and_catch_up(connection, history)

    assert await rows_of(
        connection, "SELECT account, sum(amount)::bigint FROM postings GROUP BY account ORDER BY 1"
    ) == [
        ("credits:mch_9:sandbox", -37),
        ("expired:mch_9:sandbox", 10),
        ("topups:mch_9:sandbox", -101),
        ("usage:mch_9:sandbox", 20),
        ("wallet:wal_a", 0),
        ("written_off:mch_9:sandbox", 108),
    ]


async def test_sums_beyond_64_bits_are_exact(connection):
    history = HistoryBuilder()
    for name in ("wal_a", "wal_b", "wal_c"):
        history.create(name, credit_limit=AMOUNT_MAX).topup(name, AMOUNT_MAX)
    await write_and_catch_up(connection, history)
    # a lot that loses and gains more than 64 bits hold within one range
    history.debit("wal_a", AMOUNT_MAX).debit("wal_a", AMOUNT_MAX)
    history.topup("wal_a", AMOUNT_MAX).topup("wal_a", AMOUNT_MAX)
    await write_and_catch_up(connection, history)

    topups = "SELECT sum(amount) FROM postings WHERE account = 'topups:mch_1:live'"
    assert await connection.fetchval(topups) == -5 * AMOUNT_MAX
    assert await differences(connection) == []


async def test_transactions_carry_the_public_id_and_what_was_said(connection):
    history = HistoryBuilder(shard=300).create("wal_a")
    history.credit("wal_a", 40, lasts=10, description="gift", metadata={"a": 1}, reference="g")
    history.wait(10).expire("wal_a")
    await write_and_catch_up(connection, history)

    credit, expiry = history.entries[1:]
    assert await rows_of(
        connection,
        "SELECT id, type, reference, description, metadata, expires_at FROM transactions"
        " ORDER BY position",
    ) == [
        (
            *(transaction_id(300, credit.command_id), "credit", "g", "gift", '{"a": 1}'),
            START + timedelta(seconds=10),
        ),
        (
            *(transaction_id(300, expiry.command_id), "expiry", None, "", "{}"),
            START + timedelta(seconds=10),
        ),
    ]
