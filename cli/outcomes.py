"""Waiting for the outcomes of lines that were sent, and what is printed of them."""

import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, Literal

from asyncpg import Connection
from msgspec import Struct

from cli.errors import NoOutcomeError
from cli.sending import SentLine
from engine.receipts import Accepted, DeadLettered, Outcome, Receipt, Rejected, resolve_many
from schemas.commands import AnyCommand
from schemas.events import Credited, Debited, ToppedUp
from schemas.ids import transaction_id

_PAGE: Final = 1_000


class OutcomeLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a line. `line` counts from 1; `partition` and `offset` are the receipt.

    `code` and `message` say why it was rejected or set aside; `balance_after` is there if money
    moved, and `transaction` if it did or was refused, for `wallet explain`. `duplicate`: an earlier record had this outcome.
    """

    line: int
    outcome: Literal["accepted", "rejected", "dead_letter"]
    partition: int
    offset: int
    type: str | None = None
    wallet_id: str | None = None
    reference: str | None = None
    duplicate: bool | None = None
    transaction: str | None = None
    balance_after: int | None = None
    code: str | None = None
    message: str | None = None


class OutcomeQueue:
    """Receipts that wait for their outcomes, in the order of the lines."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._waiting: deque[SentLine] = deque()
        self._last_news = time.monotonic()

    def __len__(self) -> int:
        return len(self._waiting)

    def extend(self, lines: Iterable[SentLine]) -> None:
        """Wait for these as well; they have offsets."""
        if not self._waiting:
            self._last_news = time.monotonic()
        self._waiting.extend(lines)

    async def take(self) -> list[OutcomeLine]:
        """The outcomes that are there, up to the first that is not.

        Raises NoOutcomeError if none has come for longer than the time-out.
        """
        if not self._waiting:
            return []
        page = list(islice(self._waiting, _PAGE))
        outcomes = await resolve_many(self._connection, [_receipt(sent) for sent in page])
        taken = []
        for sent, outcome in zip(page, outcomes, strict=True):
            if outcome is None:
                break
            taken.append(outcome_line(sent, outcome))
            self._waiting.popleft()
        self._watch(bool(taken))
        return taken

    def _watch(self, news: bool) -> None:
        now = time.monotonic()
        if news or not self._waiting:
            self._last_news = now
        elif now - self._last_news > self._timeout_s:
            first = self._waiting[0]
            raise NoOutcomeError(
                f"no outcome for {self._timeout_s:g} s: {len(self._waiting)} lines wait, from line"
                f" {first.line.number} on, which stands at {first.partition}:{first.offset}. They"
                " are sent and will be decided; is an engine running (`wallet status`)?"
            )


def _receipt(sent: SentLine) -> Receipt:
    return Receipt(sent.line.command, sent.partition, sent.offset)


def outcome_line(sent: SentLine, outcome: Outcome) -> OutcomeLine:
    """What is printed of the outcome."""
    fields: dict[str, Any] = {
        "line": sent.line.number,
        "partition": sent.partition,
        "offset": sent.offset,
        "wallet_id": sent.line.wallet_id,
        **_command_fields(sent.line.command),
    }
    if isinstance(outcome, DeadLettered):
        return OutcomeLine(
            outcome="dead_letter", code=outcome.reason, message=outcome.detail, **fields
        )
    if isinstance(outcome, Rejected):
        return OutcomeLine(
            outcome="rejected",
            duplicate=outcome.duplicate,
            transaction=transaction_id(outcome.entry.shard, outcome.entry.command_id),
            code=outcome.rejection.code,
            message=outcome.rejection.message,
            **fields,
        )
    return OutcomeLine(
        outcome="accepted", duplicate=outcome.duplicate, **_money_fields(outcome), **fields
    )


def _command_fields(command: AnyCommand | None) -> dict[str, str]:
    if command is None:
        return {}
    tag = str(command.__struct_config__.tag)
    return {"type": tag, "reference": command.reference}


def _money_fields(outcome: Accepted) -> dict[str, Any]:
    entry = outcome.entry
    if not isinstance(entry.event, Credited | Debited | ToppedUp):
        return {}
    return {
        "transaction": transaction_id(entry.shard, entry.command_id),
        "balance_after": entry.event.balance_after,
    }
