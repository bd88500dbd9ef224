"""`wallet explain`: why a debit was refused, which lots paid it, where each came from."""

import asyncio
from typing import Annotated, Any

import msgspec
import typer

from audit.explanation import Explanation, public_id
from audit.explanation.reading import (
    explain_place,
    explain_reference,
    explain_transaction,
    explain_wallet_now,
)
from cli.arguments import JsonOption, check_wallet_id, parse_place
from cli.database import connected
from cli.errors import UsageMistakeError
from cli.output import print_json, print_table, say
from engine.settings import load_settings
from schemas.entries import Entry, encode_entry
from schemas.events import TAGS, CommandRejected
from schemas.money import format_amount

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="TRANSACTION|SHARD:POSITION|WALLET", help="An entry of the log, or a wallet."
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option("--reference", metavar="TEXT", help="With WALLET: its command of this name."),
]


def explain(
    subject: SubjectArgument, reference: ReferenceOption = None, json: JsonOption = False
) -> None:
    """Say why, from the fewest entries of the log that it follows from.

    Of a debit: which lots paid, and where the money in each came from. Of a
    refused command: what stood against it, and what brought the wallet there. Of
    a credit or top-up: what became of it. Of a wallet: what makes up its balance,
    and why its last refused command was refused.

    A command is named by its transaction's id, by its place in the log, or by its
    wallet and its reference, which is what a caller has whom the API refused.

    Each reason names the entries that it follows from, as SHARD:POSITION. Without
    any one of them it would not follow, and no others are shown. With --json the
    chain holds the entries as they stand in the log.

    For example:
      wallet explain wal_a1b2c3
      wallet explain wal_a1b2c3 --reference sms_batch_8821
      wallet explain txn_00030236d42ad7bcfe124eb8046bf9c54c4b
      wallet explain 3:1042
      wallet explain wal_a1b2c3 --json | jq .last_refusal.reasons
    """
    if subject.startswith("wal_"):
        check_wallet_id(subject)
        if reference is None:
            asyncio.run(_wallet(subject, json=json))
            return
    elif reference is not None:
        raise UsageMistakeError("--reference: it is one of a wallet, so name that one, wal_…")
    explanation = asyncio.run(_entry(subject, reference))
    if json:
        print_json(_built(explanation))
    else:
        _print(explanation)


async def _entry(subject: str, reference: str | None) -> Explanation:
    place = None
    if reference is None and not subject.startswith("txn_"):
        place = _place(subject)
    async with connected(load_settings()) as connection:
        if reference is not None:
            return await explain_reference(connection, subject, reference)
        if place is not None:
            return await explain_place(connection, *place)
        return await explain_transaction(connection, subject)


def _place(subject: str) -> tuple[int, int]:
    if ":" not in subject:
        raise UsageMistakeError(
            f"{subject!r} is neither a transaction, txn_…, nor an entry's SHARD:POSITION, nor a "
            "wallet, wal_…"
        )
    return parse_place(subject, "POSITION")


async def _wallet(wallet_id: str, *, json: bool) -> None:
    async with connected(load_settings()) as connection:
        explained = await explain_wallet_now(connection, wallet_id)
    parts = {"balance": explained.balance, "last_refusal": explained.last_refusal}
    if json:
        built = {name: part and _built(part) for name, part in parts.items()}
        print_json({"wallet_id": wallet_id, **built})
        return
    shown = [part for part in parts.values() if part is not None]
    for number, part in enumerate(shown):
        if number:
            say("")
        _print(part)


def _print(explanation: Explanation) -> None:
    say(f"{explanation.subject}: {explanation.conclusion}\n")
    shard = explanation.chain[0].shard
    for reason in explanation.reasons:
        places = ", ".join(f"{shard}:{position}" for position in reason.positions)
        say(f"  {reason.says} [{places}]")
    say("")
    print_table(
        ("entry", "time", "what", "amount", "balance", "transaction"),
        (_row(entry) for entry in explanation.chain),
        right=("amount", "balance"),
    )


def _row(entry: Entry) -> tuple[object, ...]:
    event: Any = entry.event
    what = TAGS[type(event)]
    if isinstance(event, CommandRejected):
        what = f"refused: {event.code}"
    currency = getattr(event, "currency", None)
    amounts = [getattr(event, name, None) for name in ("amount", "balance_after")]
    shown = [
        None if amount is None or currency is None else format_amount(amount, currency)
        for amount in amounts
    ]
    place = f"{entry.shard}:{entry.position}"
    return (place, entry.occurred_at, what, *shown, public_id(entry))


def _built(explanation: Explanation) -> dict[str, object]:
    return {
        "subject": explanation.subject,
        "wallet_id": explanation.wallet_id,
        "conclusion": explanation.conclusion,
        "reasons": msgspec.to_builtins(explanation.reasons),
        "chain": [
            {"transaction_id": public_id(entry), "entry": msgspec.Raw(encode_entry(entry))}
            for entry in explanation.chain
        ],
    }
