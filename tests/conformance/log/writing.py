"""Batches for a shard of the suite, decided by the real decider."""

from datetime import datetime
from typing import Any

from engine.batch import Batch, Tip
from engine.log import Append, DeadLetterRow, ForwardRow, ShardLog, ShardRow
from engine.wallet import Wallet
from schemas.instants import utc_now
from tests.support.batches import decide_all, records


def tip_of(row: ShardRow) -> Tip:
    return Tip(row.next_offset, row.last_record, row.position, row.frontier, row.last_at)


def empty(tip: Tip, **changes: Any) -> Append:
    """An append of nothing at the tip, but for `changes`."""
    append = Append(
        from_offset=tip.offset,
        from_position=tip.position,
        to_offset=tip.offset,
        last_record=tip.last_record,
        frontier=tip.frontier,
        now=utc_now(),
        published=0,
    )
    for name, value in changes.items():
        setattr(append, name, value)
    return append


def dead_letter(offset: int, **changes: Any) -> DeadLetterRow:
    fields = {"reason": "malformed_json", "detail": "no", "key": b"k", "payload": b"{"} | changes
    return DeadLetterRow(offset=offset, **fields)


def forward(offset: int, home: int = 1, home_offset: int = 7) -> ForwardRow:
    return ForwardRow(offset=offset, home=home, home_offset=home_offset)


class Writer:
    """Decides and appends what one lease would."""

    def __init__(self, log: ShardLog, row: ShardRow) -> None:
        self.log = log
        self.tip = tip_of(row)
        self.wallets: dict[str, Wallet] = {}

    @classmethod
    async def claiming(cls, log: ShardLog, owner: str = "a") -> "Writer":
        return cls(log, await log.claim(owner))

    def decide(
        self, *payloads: bytes | None, now: datetime | None = None, **options: Any
    ) -> Batch:
        """A batch at the tip, which it leaves where it is."""
        return decide_all(
            self.tip,
            records(*payloads, first=self.tip.offset),
            now=now or utc_now(),
            states=self.wallets,
            **options,
        )

    async def append(self, *payloads: bytes | None, **options: Any) -> Batch:
        """Decide a batch, append it and move on."""
        batch = self.decide(*payloads, **options)
        await self.log.append(batch.append)
        self.moved(batch)
        return batch

    def moved(self, batch: Batch) -> None:
        self.tip = batch.tip
        self.wallets.update(batch.wallets)
