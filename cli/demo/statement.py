"""A wallet's statement as a person would like to read it, from the API."""

from datetime import datetime
from typing import Any, Final

import msgspec

from cli.demo.client import MerchantClient
from cli.output import print_table, say
from schemas.money import format_decimal

_PAGE: Final = 100
_LINES_MAX: Final = 24
_INCOMING: Final = ("topup", "credit")


async def show_statement(client: MerchantClient, wallet_id: str) -> None:
    """Print it: whose wallet it is, what happened in order, and what is left."""
    path = f"/v1/wallets/{wallet_id}"
    wallet = msgspec.json.decode(await client.get(path))
    moves = await _moves(client, f"{path}/transactions?limit={_PAGE}")
    say(f"\n  Statement of wallet {wallet['id']}")
    say(f"  Customer {wallet['customer_id']}, in {wallet['currency']}, {wallet['status']}\n")
    print_table(
        ["  when (UTC)", "what", "amount", "balance"],
        _lines(moves, wallet["currency"]),
        right=["amount", "balance"],
    )
    say(f"\n  Balance now: {wallet['balance_formatted']}\n")


async def _moves(client: MerchantClient, path: str) -> list[dict[str, Any]]:
    """Every transaction, the oldest first."""
    moves: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        after = f"&after={moves[-1]['id']}" if moves else ""
        page = msgspec.json.decode(await client.get(path + after))
        moves += page["data"]
    return moves[::-1]


def _lines(moves: list[dict[str, Any]], currency: str) -> list[tuple[str, ...]]:
    lines = [_line(move, currency) for move in moves]
    if len(lines) <= _LINES_MAX:
        return lines
    head, tail = lines[: _LINES_MAX // 3], lines[-_LINES_MAX * 2 // 3 :]
    left_out = len(lines) - len(head) - len(tail)
    return [*head, ("  ...", f"({left_out} more)", "", ""), *tail]


def _line(move: dict[str, Any], currency: str) -> tuple[str, ...]:
    when = datetime.fromisoformat(move["created_at"])
    sign = "+" if move["type"] in _INCOMING else "-"
    return (
        f"  {when:%d %b %H:%M:%S}",
        _what(move),
        sign + format_decimal(move["amount"], currency),
        format_decimal(move["balance_after"], currency),
    )


def _what(move: dict[str, Any]) -> str:
    if move["type"] == "expiry":
        return "Credit expired"
    if move["type"] == "write_off":
        return "Written off at closing"
    ends = move.get("expires_at")
    until = f" (until {datetime.fromisoformat(ends):%d %b %Y %H:%M:%S})" if ends else ""
    return f"{move['description'] or move['type']}{until}"
