"""`wallet log`: the entries as they stand in the log."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from asyncpg import Connection, Record

from cli.arguments import JsonOption, check_wallet_id
from cli.database import connected
from cli.errors import UnknownWalletError, UsageMistakeError
from cli.output import flush, note, print_raw, say
from engine.notifier import CHANNEL
from engine.replay import find_shard, read_shard, read_wallet, shard_sizes
from engine.settings import load_settings
from schemas.ids import transaction_id
from schemas.instants import to_text

# a notice can be lost, so the log is looked at without one as well
_LOOK_AGAIN_S = 1.0

WalletArgument = Annotated[
    str | None, typer.Argument(metavar="WALLET", help="Only entries of this wallet.")
]
ShardOption = Annotated[
    int | None, typer.Option("--shard", min=0, metavar="N", help="Only entries of this shard.")
]
FromOption = Annotated[
    int, typer.Option("--from", min=0, metavar="POSITION", help="From this position on.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with new entries until Ctrl-C.")
]


def log(
    wallet: WalletArgument = None,
    shard: ShardOption = None,
    start: FromOption = 0,
    follow: FollowOption = False,
    json: JsonOption = False,
) -> None:
    """Print entries of the log: of one wallet, of one shard, or all, shard after shard.

    Every outcome is an entry, rejections included. With --json each line is the
    entry's own bytes, which are those on the events topic and under the Merkle
    tree's hash. Without it, an entry's place and transaction id stand before it,
    either of which `wallet explain` takes.

    For example:
      wallet log wal_a1b2c3
      wallet log --shard 0 --from 1000 --json
      wallet log --follow
    """
    if wallet is not None:
        check_wallet_id(wallet)
        if shard is not None:
            raise UsageMistakeError("give a wallet or --shard: a wallet is in one shard only")
    asyncio.run(_print(wallet, shard, start, follow=follow, json=json))


async def _print(
    wallet: str | None, shard: int | None, start: int, *, follow: bool, json: bool
) -> None:
    async with connected(load_settings()) as connection:
        reader = _Reader(connection, wallet, shard, start)
        news = await _listen(connection) if follow else None
        count = await _print_new(reader, json=json)
        if wallet is not None and not count and not start:
            if news is None:
                raise UnknownWalletError(f"the log has no entry of wallet {wallet}")
            note(f"no entry of wallet {wallet} yet; waiting")
        while news is not None:
            await _wait(news)
            await _print_new(reader, json=json)


async def _listen(connection: Connection) -> asyncio.Event:
    news = asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: news.set())
    return news


async def _wait(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_AGAIN_S):
            await news.wait()
    except TimeoutError:
        return
    news.clear()


async def _print_new(reader: "_Reader", *, json: bool) -> int:
    count = 0
    async for shard, rows in reader.pages():
        for row in rows:
            _print_row(shard, row, json=json)
        flush()
        count += len(rows)
    return count


class _Reader:
    """Where in each shard the printing stands."""

    def __init__(
        self, connection: Connection, wallet: str | None, shard: int | None, start: int
    ) -> None:
        self._connection = connection
        self._wallet = wallet
        self._shard = shard
        self._start = start
        self._positions: dict[int, int] = {}

    async def pages(self) -> AsyncIterator[tuple[int, list[Record]]]:
        """What has come since the last call."""
        if self._wallet is not None:
            async for shard_page in self._wallet_pages(self._wallet):
                yield shard_page
            return
        sizes = await shard_sizes(self._connection)
        if self._shard is not None and self._shard not in sizes:
            raise UsageMistakeError(f"--shard {self._shard}: the log has {len(sizes)} shards")
        for shard, size in sizes.items():
            if self._shard in {None, shard}:
                start = self._positions.get(shard, self._start)
                async for rows in read_shard(self._connection, shard, start, size):
                    self._positions[shard] = rows[-1]["position"] + 1
                    yield shard, rows

    async def _wallet_pages(self, wallet: str) -> AsyncIterator[tuple[int, list[Record]]]:
        shard = await find_shard(self._connection, wallet)
        if shard is None:
            return
        start = self._positions.get(shard, self._start)
        async for rows in read_wallet(self._connection, shard, wallet, start):
            self._positions[shard] = rows[-1]["position"] + 1
            yield shard, rows


def _print_row(shard: int, row: Record, *, json: bool) -> None:
    if json:
        print_raw(row["data"])
        return
    version = "" if row["version"] is None else f" v{row['version']}"
    say(
        f"{shard}:{row['position']}  {to_text(row['occurred_at'])}  {row['wallet_id']}{version}"
        f"  {row['type']}  {transaction_id(shard, row['command_id'].hex())}"
        f"  {row['data'].decode()}"
    )
