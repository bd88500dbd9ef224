"""A read model that is not what a replay gives is found, row by row."""

import pytest

from tests.support.findings import check, failed

EDITS = {
    "a balance": ("wallets", "UPDATE wallets_1 SET balance = balance + 1 WHERE wallet_id = $1"),
    "a status": ("wallets", "UPDATE wallets_1 SET status = 'frozen' WHERE wallet_id = $1"),
    "an owner": ("wallets", "UPDATE wallets_1 SET merchant_id = 'mch_x' WHERE wallet_id = $1"),
    "metadata": ("wallets", "UPDATE wallets_1 SET metadata = '{}' WHERE wallet_id = $1"),
    "metadata that is no object": (
        "wallets",
        "UPDATE wallets_1 SET metadata = '5' WHERE wallet_id = $1",
    ),
    "a wallet gone": ("wallets", "DELETE FROM wallets_1 WHERE wallet_id = $1"),
    "a wallet more": (
        "wallets",
        """
        INSERT INTO wallets_1
        SELECT 'wal_x', shard, merchant_id, environment, customer_id, currency, status, 0,
               version, metadata, created_at, updated_at FROM wallets_1 WHERE wallet_id = $1
        """,
    ),
    "a lot": ("lots", "UPDATE lots_1 SET remaining = remaining + 1 WHERE wallet_id = $1"),
    "an end": ("lots", "UPDATE lots_1 SET expires_at = now() WHERE wallet_id = $1"),
    "a lot gone": ("lots", "DELETE FROM lots_1 WHERE wallet_id = $1"),
    "a lot more": ("lots", "INSERT INTO lots_1 SELECT 0, $1, 9999, 5, NULL, 100"),
}
AT_POSITION = {
    "an amount": ("transactions", "UPDATE transactions_1 SET amount = 1 WHERE position = $1"),
    "a description": (
        "transactions",
        "UPDATE transactions_1 SET description = 'x' WHERE position = $1",
    ),
    "metadata of a transaction": (
        "transactions",
        """UPDATE transactions_1 SET metadata = '{"units": true}' WHERE position = $1""",
    ),
    "a transaction gone": ("transactions", "DELETE FROM transactions_1 WHERE position = $1"),
    "an account": (
        "postings",
        "UPDATE postings_1 SET account = 'wallet:wal_s0n5' WHERE position = $1 AND line = 0",
    ),
    "a line more": (
        "postings",
        """
        INSERT INTO postings_1 SELECT shard, position, 2, account, currency, 0
          FROM postings_1 WHERE position = $1 AND line = 0
        """,
    ),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_row(proven, edit):
    model, statement = EDITS[edit]
    await proven.tamper(statement, "wal_s0n2")
    proof = await proven.verify()
    assert failed(proof) == {model}
    assert model in check(proof, model).findings[0].message


@pytest.mark.parametrize("edit", AT_POSITION)
async def test_an_edited_row_of_an_entry(proven, edit):
    model, statement = AT_POSITION[edit]
    position = await proven.database.fetchval(
        "SELECT position FROM transactions_1 WHERE position > 400 AND type = 'debit' "
        "AND wallet_id <> 'wal_s0n5' AND amount > 1 ORDER BY position"
    )
    await proven.tamper(statement, position)
    proof = await proven.verify()
    assert failed(proof) == {model}
    assert proof.first is not None
    assert proof.first.position == position


async def test_postings_that_do_not_sum_to_zero(proven):
    await proven.tamper(
        "UPDATE postings_1 SET amount = amount + 1 WHERE position = 8 AND line = 0"
    )
    proof = await proven.verify()
    assert failed(proof) == {"postings", "zero_sum"}
    assert "sum to 1 minor" in check(proof, "zero_sum").findings[0].message


async def test_a_transaction_past_the_checkpoint(proven):
    await proven.tamper(
        "INSERT INTO transactions_1 SELECT shard, 10000, wallet_id, merchant_id, environment, "
        "'\\x00', type, amount, currency, balance_before, balance_after, reference, description, "
        "metadata, created_at, expires_at FROM transactions_1 WHERE position = 8"
    )
    proof = await proven.verify()
    assert failed(proof) == {"transactions"}
    assert check(proof, "transactions").findings[0].position == 10_000


async def test_rows_of_a_shard_that_there_is_not(proven):
    await proven.tamper("INSERT INTO lots_1 VALUES (9, 'wal_x', 1, 5, NULL, 100)")
    proof = await proven.verify()
    assert failed(proof) == {"lots"}
    assert "shard 9" in check(proof, "lots").findings[0].message


async def test_a_model_that_is_behind_is_compared_where_it_is(proven):
    size = len(proven.history.entries)
    proven.history.wait(1).topup("wal_s0n2", 5)
    await proven.history.write(proven.database)
    await proven.write_tiles()
    proof = await proven.verify()
    assert proof.passed, proof.first
    assert proof.shards[0].entries == size + 1
    assert check(proof, "wallets").checked == size


async def test_a_model_that_is_not_there(proven):
    await proven.tamper("UPDATE projections SET live = false WHERE name = 'lots'")
    proof = await proven.verify()
    assert failed(proof) == {"lots"}
