"""Lists stay quick among other owners' rows: what each reads is found by an index."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from api.install import install
from cli.stack import Stack
from projections.pages import Anchor
from projections.queries import _QUERIES, _TRANSACTIONS, _WALLETS, WALLET_MODELS
from tests.support.databases import fresh_database
from tests.support.history import START

OWNER = ("mch_1", "live")
SOMEWHERE = (START, "wal_000500")
# each owner has one wallet of forty, and each wallet one transaction of forty
FILL = """
INSERT INTO wallets_1 (wallet_id, shard, merchant_id, environment, customer_id, currency, status,
                       balance, version, metadata, created_at, updated_at)
SELECT 'wal_' || lpad(n::text, 6, '0'), 0, 'mch_' || n % 20,
       CASE WHEN n % 40 < 20 THEN 'live' ELSE 'sandbox' END, 'cus_' || n % 2000, 'GHS', 'active',
       0, 1, '{}', $1::timestamptz + n * interval '1 second', $1
  FROM generate_series(1, 40000) AS n;
"""
FILL_TRANSACTIONS = """
INSERT INTO transactions_1 (shard, position, wallet_id, merchant_id, environment, command_id, type,
                            amount, currency, balance_before, balance_after, description, metadata,
                            created_at)
SELECT 0, n, 'wal_' || lpad((n % 40)::text, 6, '0'), 'mch_1', 'live', int8send(n) || int8send(n),
       'debit', 1, 'GHS', 0, 0, '', '{}', $1
  FROM generate_series(1, 40000) AS n;
"""
FILL_LOG = """
INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
SELECT 0, n, 'wal_' || lpad((n % 40)::text, 6, '0'), n, int8send(n) || int8send(n), 'debited', $1, ''
  FROM generate_series(1, 40000) AS n;
"""


@pytest_asyncio.fixture(scope="module")
async def filled(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    async with fresh_database(stack.database_url) as url:
        await install(url)
        # as the API's own connections
        settings = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
        connection = await asyncpg.connect(url, server_settings=settings)
        await connection.execute("INSERT INTO shards (shard, position) VALUES (0, 40001)")
        for statement in (FILL, FILL_TRANSACTIONS, FILL_LOG):
            await connection.execute(statement, START)
        await connection.execute("ANALYZE")
        yield connection
        await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def scans(connection: asyncpg.Connection, query: str, *arguments: object) -> dict[str, str]:
    """The condition that each large table's index is searched with; `all` if there is none."""
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
    found: dict[str, str] = {}
    for node in nodes(json.loads(text)[0]["Plan"]):
        table = node.get("Relation Name")
        if table in ("wallets_1", "transactions_1", "log"):
            found[table] = str(node.get("Index Cond", "all"))
        if node["Node Type"] == "Bitmap Index Scan":
            found["bitmap"] = str(node.get("Index Cond", "all"))
    return found


ANCHORS = [None, Anchor(item_id="x"), Anchor(item_id="x", newer=True, inclusive=True)]


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("customer_id", [None, "cus_500"])
async def test_a_page_of_wallets(filled, anchor, customer_id) -> None:
    key = (None, None) if anchor is None else SOMEWHERE
    arguments = (*OWNER, START, customer_id, None, None, *key, 21)
    found = await scans(filled, _WALLETS._toward(anchor), *arguments)
    condition = found["wallets_1"]
    assert "merchant_id = 'mch_1'" in condition
    assert "environment = 'live'" in condition
    assert ("customer_id = 'cus_500'" in condition) is (customer_id is not None)
    assert ("ROW(" in condition) is (anchor is not None)


@pytest.mark.parametrize("anchor", ANCHORS)
async def test_a_page_of_transactions(filled, anchor) -> None:
    key = None if anchor is None else 20_000
    arguments = (0, "wal_000007", None, None, key, 21)
    found = await scans(filled, _TRANSACTIONS._toward(anchor), *arguments)
    assert "wallet_id = 'wal_000007'" in found["transactions_1"]
    assert ("position" in found["transactions_1"]) is (anchor is not None)


async def test_transactions_of_a_reference(filled) -> None:
    ids = [bytes(16), bytes(15) + b"1"]
    query = _TRANSACTIONS._toward(None)
    found = await scans(filled, query, 0, "wal_000007", None, ids, None, 21)
    assert "all" not in found.values()
    assert "command_id" in found["log"]


@pytest.mark.parametrize("needed", [None, 5])
async def test_one_wallet_and_its_last_entry(filled, needed) -> None:
    arguments = (*OWNER, "wal_000007", START, WALLET_MODELS, needed)
    found = await scans(filled, _QUERIES["wallet"], *arguments)
    assert "wallet_id = 'wal_000007'" in found["wallets_1"]
    assert "version IS NOT NULL" in found["log"]
    assert "wallet_id" in found["log"]
