"""A shard with millions of entries, made up inside of PostgreSQL.

Every wallet has ten: it is created and funded, and debited eight times. The decider makes the events
of one of them; the others differ in nothing but their names and places.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bench.load import debits, opening
from bench.log_tree import store_tree
from engine.decider import decide, evolve
from engine.sql import load_queries
from engine.wallet import Wallet
from schemas.commands import decode_command
from schemas.digests import body_digest
from schemas.entries import Entry, encode_entry
from schemas.events import TAGS, WalletEvent
from schemas.rejections import Rejection

ENTRIES_OF_A_WALLET = 10
_DEBITS = ENTRIES_OF_A_WALLET - 2
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CHUNK_LEAVES = 65_536
_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))
_WALLET_ID = "wal_sample"
_COMMAND_ID = "ffffffffffffffffffffffffffffffff"
_POSITION = 8_888_888_888


async def fill_shard(
    connection: asyncpg.Connection, entries: int, say: Callable[[str], None]
) -> None:
    """Fill shard 0 of an empty database with so many, as if they had been decided."""
    wallets = entries // ENTRIES_OF_A_WALLET
    entries = wallets * ENTRIES_OF_A_WALLET
    await connection.execute("SET maintenance_work_mem = '1GB'")
    keys = await connection.fetch(_QUERIES["keys"])
    for key in keys:
        await connection.execute(f"ALTER TABLE log DROP CONSTRAINT {key['name']}")
    for version, (kind, template) in enumerate(_templates(), 1):
        say(f"making up a shard of {entries:,} entries: {version} tenths")
        start = (version - 1) * wallets
        await connection.execute(
            _QUERIES["add_entries"], start, wallets, version, kind, _AT, template
        )
    for key in keys:
        say(f"making up a shard of {entries:,} entries: {key['definition']}")
        await connection.execute(
            f"ALTER TABLE log ADD CONSTRAINT {key['name']} {key['definition']}"
        )
    await connection.execute("VACUUM ANALYZE log")
    say(f"making up a shard of {entries:,} entries: its tree")
    frontier = await store_tree(connection, 0, _leaf_hashes(connection, entries))
    await connection.execute(_QUERIES["add_shard"], entries, frontier.to_bytes(), _AT)


def _templates() -> list[tuple[str, str]]:
    """Type and document of each entry of a wallet, for PostgreSQL's format().

    Its arguments: position, wallet id, command id.
    """
    wallet: Wallet | None = None
    templates = []
    for _, payload in (*opening([_WALLET_ID]), *debits([_WALLET_ID], _DEBITS, "early")):
        command = decode_command(payload)
        decision = decide(wallet, command, _AT)
        if isinstance(decision, Rejection):
            raise TypeError(f"refused: {decision}")
        (event,) = decision
        wallet = evolve(wallet, event)
        templates.append((TAGS[type(event)], _template(wallet, event, body_digest(command))))
    return templates


def _template(wallet: Wallet, event: WalletEvent, body: bytes) -> str:
    entry = Entry(
        shard=0,
        position=_POSITION,
        wallet_id=_WALLET_ID,
        version=wallet.version,
        merchant_id=wallet.merchant_id,
        environment=wallet.environment,
        command_id=_COMMAND_ID,
        body_digest=body.hex(),
        offset=_POSITION,
        last=True,
        occurred_at=_AT,
        event=event,
    )
    text = encode_entry(entry).decode().replace("%", "%%")
    for number, value in enumerate((str(_POSITION), _WALLET_ID, _COMMAND_ID), 1):
        text = text.replace(value, f"%{number}$s")
    return text


async def _leaf_hashes(connection: asyncpg.Connection, entries: int) -> AsyncIterator[list[bytes]]:
    for start in range(0, entries, _CHUNK_LEAVES):
        rows = await connection.fetch(_QUERIES["leaf_hashes"], start, start + _CHUNK_LEAVES)
        yield [row[0] for row in rows]
