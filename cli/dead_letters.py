"""`wallet dead-letters`: records that no command could be read from, or that broke the decider."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from asyncpg import Connection, Record
from msgspec import Struct

from cli.arguments import JsonOption, parse_place
from cli.command_lines import key_of
from cli.commands import Group
from cli.database import connected
from cli.errors import AlreadySettledError, NotResendableError, UnknownDeadLetterError
from cli.kafka import commands_partitions, reaching_kafka
from cli.output import print_json, print_table, say
from cli.sending import ACKNOWLEDGE_TIMEOUT_S, producing
from engine.settings import Settings, load_settings
from engine.sql import load_queries
from engine.topics import RECORD_BYTES_MAX
from engine.topology import home

Status = Literal["open", "retried", "discarded"]

PlaceArgument = Annotated[
    str, typer.Argument(metavar="SHARD:OFFSET", help="Which one, as `list` names it.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Retried and discarded ones as well.")]

_PAGE = 1_000
_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))

dead_letters = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""List, show, retry and discard dead letters.

    A dead letter is a record of the commands topic that is no valid command, or
    that the engine could not decide. The record's bytes are kept whole until
    somebody has settled it.

    For example:
      wallet dead-letters list
      wallet dead-letters show 3:1042
      wallet dead-letters retry 3:1042
    """,
)


class Summary(Struct, frozen=True, kw_only=True):
    """A dead letter, as listed."""

    shard: int
    offset: int
    status: Status
    reason: str
    detail: str
    occurred_at: datetime
    settled_at: datetime | None
    payload_bytes: int | None


class Letter(Struct, frozen=True, kw_only=True):
    """A dead letter, whole. `key` and `payload` are base64; `text` is there if it is UTF-8."""

    shard: int
    offset: int
    status: Status
    reason: str
    detail: str
    occurred_at: datetime
    settled_at: datetime | None
    published_at: datetime | None
    key: bytes | None
    payload: bytes | None
    text: str | None


class Settled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done. `sent_to` is where a retried record stands now."""

    shard: int
    offset: int
    status: Status
    sent_to: str | None = None


@dead_letters.command("list")
def list_(everything: AllOption = False, json: JsonOption = False) -> None:
    """List the open dead letters, each by its SHARD:OFFSET.

    For example:
      wallet dead-letters list
      wallet dead-letters list --all --json
    """
    asyncio.run(_list(everything, json))


@dead_letters.command()
def show(place: PlaceArgument, json: JsonOption = False) -> None:
    """Show one dead letter: why it was set aside, and its bytes.

    For example:
      wallet dead-letters show 3:1042
      wallet dead-letters show 3:1042 --json | jq -r .payload | base64 -d
    """
    letter = asyncio.run(_read(*parse_place(place)))
    if json:
        print_json(letter)
    else:
        _print(letter)


@dead_letters.command()
def retry(place: PlaceArgument, json: JsonOption = False) -> None:
    """Send a dead letter's bytes to the commands topic again, once.

    Of use when the cause is gone, such as a defect of the engine. The record is
    decided like any new one; the same reference is never carried out twice.

    For example:
      wallet dead-letters retry 3:1042
    """
    _print_settled(asyncio.run(_retry(load_settings(), *parse_place(place))), json=json)


@dead_letters.command()
def discard(place: PlaceArgument, json: JsonOption = False) -> None:
    """Mark a dead letter as looked at and of no use; its bytes are kept.

    For example:
      wallet dead-letters discard 3:1042
    """
    _print_settled(asyncio.run(_discard(load_settings(), *parse_place(place))), json=json)


async def _list(everything: bool, json: bool) -> None:
    header = True
    async with connected(load_settings()) as connection:
        async for page in _pages(connection, everything):
            if json:
                for summary in page:
                    print_json(summary)
            else:
                _print_page(page, header=header)
            header = False
    if header and not json:
        say("There are no dead letters." if everything else "There are no open dead letters.")


async def _pages(connection: Connection, everything: bool) -> AsyncIterator[list[Summary]]:
    place = (-1, -1)
    while rows := await connection.fetch(_QUERIES["list"], everything, *place, _PAGE):
        yield [_summary(row) for row in rows]
        place = (rows[-1]["shard"], rows[-1]["record_offset"])


async def _read(shard: int, offset: int) -> Letter:
    async with connected(load_settings()) as connection:
        row = await connection.fetchrow(_QUERIES["show"], shard, offset)
    if row is None:
        raise _unknown(shard, offset)
    return Letter(**_fields(row), text=_text(row["payload"]))


async def _retry(settings: Settings, shard: int, offset: int) -> Settled:
    async with connected(settings) as connection, _open_letter(connection, shard, offset) as row:
        if row["payload"] is None:
            raise NotResendableError(
                f"{shard}:{offset} has no value (a tombstone), so there is nothing to send:"
                " discard it"
            )
        sent_to = await resend(settings, row["key"], row["payload"])
        await connection.execute(_QUERIES["settle"], shard, offset, "retried")
    return Settled(shard=shard, offset=offset, status="retried", sent_to=sent_to)


async def _discard(settings: Settings, shard: int, offset: int) -> Settled:
    async with connected(settings) as connection, _open_letter(connection, shard, offset):
        await connection.execute(_QUERIES["settle"], shard, offset, "discarded")
    return Settled(shard=shard, offset=offset, status="discarded")


@asynccontextmanager
async def _open_letter(connection: Connection, shard: int, offset: int) -> AsyncIterator[Record]:
    """The letter, locked until the block ends, so that it is settled once."""
    async with connection.transaction():
        row = await connection.fetchrow(_QUERIES["lock"], shard, offset)
        if row is None:
            raise _unknown(shard, offset)
        if row["status"] != "open":
            raise AlreadySettledError(
                f"{shard}:{offset} was {row['status']} at {row['settled_at']:%Y-%m-%d %H:%M:%S}"
                " UTC: nothing was done"
            )
        yield row


async def resend(settings: Settings, key: bytes | None, payload: bytes) -> str:
    """Send the bytes to the wallet's home, or where the old key leads; gives SHARD:OFFSET.

    Raises KafkaUnreachableError if that is not acknowledged in time; it may have arrived all the same.
    """
    wallet_id = key_of(payload)
    with reaching_kafka(settings):
        partitions = await commands_partitions(settings)
        # key and headers come on top of what the topic took once
        async with producing(settings, max_request_size=2 * RECORD_BYTES_MAX) as producer:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                sent = await producer.send_and_wait(
                    settings.commands_topic,
                    payload,
                    key=key if wallet_id is None else wallet_id.encode(),
                    partition=None if wallet_id is None else home(wallet_id, partitions),
                )
    return f"{sent.partition}:{sent.offset}"


def _unknown(shard: int, offset: int) -> UnknownDeadLetterError:
    return UnknownDeadLetterError(
        f"there is no dead letter {shard}:{offset}: `wallet dead-letters list --all` has them all"
    )


def _fields(row: Record) -> dict[str, Any]:
    fields = dict(row)
    return {"offset": fields.pop("record_offset"), **fields}


def _summary(row: Record) -> Summary:
    return Summary(**_fields(row))


def _text(payload: bytes | None) -> str | None:
    try:
        return None if payload is None else payload.decode()
    except UnicodeDecodeError:
        return None


def _print_page(page: list[Summary], *, header: bool) -> None:
    print_table(
        ("place", "status", "time", "reason", "bytes", "detail"),
        (
            (
                f"{letter.shard}:{letter.offset}",
                letter.status,
                letter.occurred_at,
                letter.reason,
                letter.payload_bytes,
                letter.detail,
            )
            for letter in page
        ),
        right=("bytes",),
        header=header,
    )


def _print(letter: Letter) -> None:
    facts = {
        "place": f"{letter.shard}:{letter.offset}",
        "status": letter.status,
        "reason": letter.reason,
        "detail": letter.detail,
        "set aside": letter.occurred_at,
        "settled": letter.settled_at,
        "published": letter.published_at,
        "key": _text(letter.key) if letter.key is not None else None,
    }
    print_table(("", ""), facts.items(), header=False)
    if letter.payload is None:
        say("\nThe record has no value.")
    elif letter.text is None:
        say(f"\n{len(letter.payload)} bytes that are not UTF-8, in base64:")
        say(b64encode(letter.payload).decode())
    else:
        say(f"\n{letter.text}")


def _print_settled(settled: Settled, *, json: bool) -> None:
    if json:
        print_json(settled)
    elif settled.sent_to is None:
        say(f"{settled.shard}:{settled.offset} is {settled.status}.")
    else:
        say(f"{settled.shard}:{settled.offset} was sent again and stands at {settled.sent_to}.")
