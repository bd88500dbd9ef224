"""Explanations out of the log, read page by page."""

from pathlib import Path

from asyncpg import Connection
from msgspec import Struct

from audit.errors import ExplanationError
from audit.explanation.explaining import BalanceExplainer, EntryExplainer
from audit.explanation.reasons import Explanation
from engine.replay import find_shard, read_entry, read_wallet
from engine.sql import load_queries
from schemas.digests import command_id
from schemas.entries import Entry
from schemas.ids import parse_transaction_id

_QUERIES = load_queries(Path(__file__).with_name("explanation.sql"))


class WalletExplained(Struct, frozen=True):
    """Why a wallet's balance is what it is, if it was ever opened, and what was refused last."""

    balance: Explanation | None
    last_refusal: Explanation | None


async def explain_transaction(connection: Connection, transaction_id: str) -> Explanation:
    """Why this entry is as it is; raises ExplanationError if there is none of this id."""
    try:
        shard, digest = parse_transaction_id(transaction_id)
    except ValueError:
        raise ExplanationError(
            f"{transaction_id[:60]!r} is no id of a transaction: they are txn_ and 36 hex digits."
        ) from None
    data = await connection.fetchval(_QUERIES["entry_of_command"], shard, digest)
    if data is None:
        raise ExplanationError(f"The log has no entry of {transaction_id}.")
    return await _explain(connection, read_entry(shard, data))


async def explain_place(connection: Connection, shard: int, position: int) -> Explanation:
    """Why the entry there is as it is; raises ExplanationError if there is none."""
    data = await connection.fetchval(_QUERIES["entry_at"], shard, position)
    if data is None:
        raise ExplanationError(
            f"The log has no entry at {shard}:{position}: `wallet status` shows each shard's "
            "position, which is the one that comes next."
        )
    return await _explain(connection, read_entry(shard, data))


async def explain_reference(connection: Connection, wallet_id: str, reference: str) -> Explanation:
    """Why the wallet's first command of this reference came out as it did.

    Raises ExplanationError if it has no outcome in the log.
    """
    shard = await find_shard(connection, wallet_id)
    data = None
    if shard is not None:
        digest = command_id(wallet_id, reference)
        data = await connection.fetchval(_QUERIES["entry_of_command"], shard, digest)
    if shard is None or data is None:
        raise ExplanationError(
            f"The log has no outcome of a command of wallet {wallet_id} with the reference "
            f"{reference[:60]!r}: is it one that waits, or a dead letter (`wallet dead-letters "
            "list`)?"
        )
    return await _explain(connection, read_entry(shard, data))


async def explain_wallet_now(connection: Connection, wallet_id: str) -> WalletExplained:
    """Why the wallet is as it is now; raises ExplanationError if it has no entry at all."""
    shard = await find_shard(connection, wallet_id)
    if shard is None:
        raise ExplanationError(f"The log has no entry of wallet {wallet_id}.")
    refused = await connection.fetchval(_QUERIES["last_refusal"], shard, wallet_id)
    explainer = BalanceExplainer(wallet_id, await connection.fetchval(_QUERIES["now"], shard))
    opened = False
    async for rows in read_wallet(connection, shard, wallet_id):
        for row in rows:
            opened = opened or row["version"] is not None
            explainer.add(read_entry(shard, row["data"]))
    if not opened and refused is None:
        raise ExplanationError(f"The log has no entry of wallet {wallet_id}.")
    return WalletExplained(
        explainer.finish() if opened else None,
        None if refused is None else await _explain(connection, read_entry(shard, refused)),
    )


async def _explain(connection: Connection, subject: Entry) -> Explanation:
    explainer = EntryExplainer(subject)
    async for rows in read_wallet(connection, subject.shard, subject.wallet_id):
        for row in rows:
            explainer.add(read_entry(subject.shard, row["data"]))
        if explainer.is_done:
            break
    return explainer.finish()
