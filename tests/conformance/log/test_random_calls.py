"""Whatever is asked of the two databases, in whatever order, they answer the same.

Two leases take turns on one shard, with appends that are good, stale, doubled or forbidden, and
everything that reads. The answers are compared call by call, the tables at the end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from engine.batch import Batch
from engine.errors import EngineError
from engine.log import Append, ShardLog, ShardRow, Snapshot
from engine.merkle import Tile
from engine.wallet import Wallet, encode_wallet
from schemas.instants import utc_now
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.real import RealDatabase
from tests.conformance.log.simulated import SimulatedLogDatabase
from tests.conformance.log.writing import Writer, dead_letter, empty, forward
from tests.support.payloads import create, credit, debit, topup

SHARDS = count(1_000)
LEASES = 2
WALLETS = ("wal_1", "wal_2", "wal_10")
Call = Callable[[ShardLog], Awaitable[Any]]


class Draw(Random):
    """What the steps take their numbers from."""

    def up_to(self, end: int) -> int:
        """0 to `end` - 1."""
        return self.randrange(end)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self.choice(choices)


@dataclass
class Run:
    """What has been asked so far, and what it made true."""

    draw: Draw
    writers: dict[int, Writer] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    command_ids: list[bytes] = field(default_factory=list)
    last: Append | None = None
    appending: Batch | None = None

    def payloads(self) -> list[bytes]:
        draw = self.draw
        made = []
        for number in range(1 + draw.up_to(4)):
            wallet_id = draw.one_of(WALLETS)
            reference = f"r{draw.up_to(12)}x{number}"
            amount = 1 + draw.up_to(50)
            soon = (utc_now() + timedelta(seconds=30 + 30 * draw.up_to(3))).isoformat()
            made.append(
                draw.one_of(
                    (
                        create(wallet_id, reference),
                        topup(wallet_id, reference, amount),
                        debit(wallet_id, reference, amount),
                        credit(wallet_id, reference, amount, expires_at=soon),
                        b"{",
                    )
                )
            )
        return made

    def batch(self, writer: Writer) -> Append:
        opening = () if self.wallets else map(create, WALLETS)
        self.appending = writer.decide(*opening, *self.payloads())
        append = self.appending.append
        spoil = self.draw.one_of((_leave, _leave, _leave, _leave, *_SPOIL))
        spoil(append, self.draw)
        self.command_ids += append.command_ids
        return append


def _leave(append: Append, draw: Draw) -> None:
    pass


def _wrong_start(append: Append, draw: Draw) -> None:
    append.from_offset += 1 + draw.up_to(2)


def _wrong_position(append: Append, draw: Draw) -> None:
    append.from_position += 1


def _old_clock(append: Append, draw: Draw) -> None:
    append.now -= timedelta(seconds=60)


def _fast_clock(append: Append, draw: Draw) -> None:
    append.now += timedelta(seconds=60)


def _doubled_command(append: Append, draw: Draw) -> None:
    append.command_ids[:] = [b"same"] * len(append.command_ids)


def _doubled_version(append: Append, draw: Draw) -> None:
    append.versions[:] = [1] * len(append.versions)


def _letters(append: Append, draw: Draw) -> None:
    append.dead_letters = [dead_letter(draw.up_to(6)) for _ in range(2)]


def _forwards(append: Append, draw: Draw) -> None:
    append.forwards = [forward(draw.up_to(6))]


def _forbidden_text(append: Append, draw: Draw) -> None:
    append.dead_letters = [dead_letter(99, detail="\0")]


def _due_done(append: Append, draw: Draw) -> None:
    append.due_removed = [(append.now, wallet_id) for wallet_id in WALLETS]


_SPOIL = (
    _wrong_start,
    _wrong_position,
    _old_clock,
    _fast_clock,
    _doubled_command,
    _doubled_version,
    _letters,
    _forwards,
    _forbidden_text,
    _due_done,
)


async def answer(call: Call, log: ShardLog) -> Any:
    """What the call gives or raises, without what differs between two databases by its nature."""
    try:
        return _plain(await call(log))
    except EngineError as error:
        cause: Any = error.__cause__
        return (
            type(error).__name__,
            error.code,
            getattr(cause, "sqlstate", None),
            getattr(cause, "constraint_name", None),
        )
    except asyncpg.PostgresError as error:
        return type(error).__name__, error.sqlstate


def _plain(value: Any) -> Any:
    if isinstance(value, ShardRow):
        return msgspec.structs.replace(value, lease=None)  # type: ignore[arg-type]
    if isinstance(value, list) and value and not isinstance(value[0], msgspec.Struct):
        return [dict(row) if hasattr(row, "keys") else row for row in value]
    return value


def _claim(run: Run, lease: int) -> Call:
    return lambda log: log.claim(f"lease {lease}")


def _append(run: Run, lease: int) -> Call | None:
    writer = run.writers.get(lease)
    if writer is None:
        return None
    append = run.batch(writer)
    run.last = append
    return lambda log: log.append(append)


def _append_again(run: Run, lease: int) -> Call | None:
    append = run.last
    return None if append is None else lambda log: log.append(append)


def _append_nothing(run: Run, lease: int) -> Call | None:
    writer = run.writers.get(lease)
    if writer is None:
        return None
    append = empty(writer.tip, published=run.draw.up_to(9))
    return lambda log: log.append(append)


def _find(run: Run, lease: int) -> Call:
    ids = [identity for identity in run.command_ids if run.draw.up_to(3) == 0]
    return lambda log: log.find_outcomes([*ids, b"nobody's"])


def _load(run: Run, lease: int) -> Call:
    return lambda log: log.load_wallets([*WALLETS, "wal_nobody"])


def _save_snapshots(run: Run, lease: int) -> Call | None:
    writer = run.writers.get(lease)
    if writer is None or not writer.wallets:
        return None
    snapshots = [
        Snapshot(
            wallet_id=wallet_id,
            version=max(1, wallet.version - run.draw.up_to(2)),
            position=run.draw.up_to(9),
            leaf_hash=bytes(32),
            state=encode_wallet(wallet),
        )
        for wallet_id, wallet in sorted(writer.wallets.items())
    ]
    return lambda log: log.save_snapshots(snapshots)


def _save_tiles(run: Run, lease: int) -> Call:
    draw = run.draw
    tiles = [Tile(draw.up_to(2), draw.up_to(3), bytes(draw.up_to(5))) for _ in range(2)]
    return lambda log: log.save_tiles(tiles)


def _read_entries(run: Run, lease: int) -> Call:
    page = (run.draw.up_to(6), run.draw.up_to(12), 1 + run.draw.up_to(5))
    return lambda log: log.read_entries(*page)


def _read_due(run: Run, lease: int) -> Call:
    until, wallets_max = utc_now() + timedelta(seconds=120), 1 + run.draw.up_to(4)
    return lambda log: log.read_due(until, wallets_max)


def _mark(run: Run, lease: int) -> Call:
    offsets = [run.draw.up_to(6) for _ in range(2)]
    return lambda log: log.mark_dead_letters_published(offsets)


def _letters_left(run: Run, lease: int) -> Call:
    count_max = 1 + run.draw.up_to(3)
    return lambda log: log.unpublished_dead_letters(count_max)


CALLS: tuple[Callable[[Run, int], Call | None], ...] = (
    *(_append,) * 6,
    *(_claim,) * 2,
    _append_again,
    _append_nothing,
    _find,
    _load,
    _save_snapshots,
    _save_tiles,
    _read_entries,
    _read_due,
    _mark,
    _letters_left,
    lambda run, lease: lambda log: log.next_due(),
    lambda run, lease: lambda log: log.partial_tiles(),
    lambda run, lease: lambda log: log.halt(f"by {lease}"),
)


def _note(run: Run, lease: int, given: Any, log: ShardLog) -> None:
    """Follow what has been done, as a lease does."""
    appended, run.appending = run.appending, None
    if isinstance(given, ShardRow):
        writer = run.writers[lease] = Writer(log, given)
        writer.wallets.update(run.wallets)
    elif appended is not None and given is None:
        run.writers[lease].moved(appended)
        run.wallets.update(appended.wallets)


@pytest_asyncio.fixture
async def pairs(
    real_log: RealDatabase, simulated_log: SimulatedLogDatabase
) -> AsyncIterator[list[tuple[LogDatabase, list[ShardLog]]]]:
    """Each database with the leases' ways into it, for any shard."""
    async with AsyncExitStack() as stack:
        databases: tuple[LogDatabase, ...] = (real_log, simulated_log)
        yield [
            (
                database,
                [await stack.enter_async_context(shard_log(database)) for _ in range(LEASES)],
            )
            for database in databases
        ]


@pytest.mark.parametrize("seed", range(10))
async def test_both_answer_the_same(
    pairs: list[tuple[LogDatabase, list[ShardLog]]], seed: int
) -> None:
    draw = Draw(seed)
    for _ in range(4):
        shard = next(SHARDS)
        for database, leases in pairs:
            await database.add_shard(shard)
            for log in leases:
                log.shard, log._lease = shard, None
        run = Run(draw)
        for number in (_CLAIM, *(draw.up_to(len(CALLS)) for _ in range(40))):
            # the first one more often, so that it gets further before it is fenced
            lease = int(draw.random() < 0.3)
            call = CALLS[number](run, lease)
            if call is None:
                continue
            real, simulated = [await answer(call, leases[lease]) for _, leases in pairs]
            assert real == simulated, f"call {number} of lease {lease}"
            _note(run, lease, real, pairs[0][1][lease])
        real, simulated = [await database.contents(shard) for database, _ in pairs]
        assert real == simulated


_CLAIM = CALLS.index(_claim)
