"""Decides a batch: from received commands and the states they meet to the entries to append."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.decider import decide, evolve, expire_due, is_foreign
from engine.errors import RepeatsUnknownError, ShardHaltedError
from engine.intake import Received, clean_detail
from engine.log import Append, DeadLetterRow, Snapshot
from engine.merkle import Frontier, leaf_hashes
from engine.wallet import Wallet, encode_wallet
from schemas.digests import expiry_id, further_id
from schemas.entries import Entry, encode_entry
from schemas.events import TAGS, CommandRejected, Credited, WalletEvent
from schemas.rejections import Rejection

logger = logging.getLogger(__name__)

ENTRIES_MAX: Final = 10_000
"""A batch ends with the command that reaches this: a thousand lots of a wallet can expire at once."""

ENTRIES_BYTES_MAX: Final = 3 * 1024 * 1024
"""Likewise: a debit of a few bytes can burn a thousand lots, and its entry names them all."""

_CONFLICT = Rejection(
    "reference_conflict",
    "This reference was used in this wallet with another body; use a new one.",
)


class Tip(Struct, frozen=True):
    """Where a shard stands after a batch, committed or not."""

    offset: int
    last_record: bytes | None
    position: int
    frontier: Frontier
    last_at: datetime


class Batch(Struct, kw_only=True):
    """A decided batch: what it appends, and what it makes true once that is committed."""

    append: Append
    tip: Tip
    leaf_hashes: list[bytes]
    lasts: list[bool]
    outcome_entries: list[tuple[int, int]]
    """(offset, index among the entries) of the entry that is the outcome of a record."""
    wallets: dict[str, Wallet]
    outcomes: dict[bytes, bytes]
    snapshots: list[Snapshot]
    failures_in_row: int


def may_have_been_refused(
    received: Received, wallet: Wallet | None, decided_for: bytes | None
) -> bool:
    """Whether the log can hold a refusal under the command's conflict id.

    Only where the reference was taken by another body, or the wallet is not the sender's: both
    last for ever, so a refusal that was ever recorded has one of them now.
    """
    taken = decided_for is not None and decided_for != received.body
    return taken or (wallet is not None and is_foreign(wallet, received.command))


class _Staged:
    """The entries of one command, kept apart until all of them are known to be good."""

    __slots__ = ("before", "offset", "rows", "wallet", "wallet_id")

    def __init__(self, wallet_id: str, wallet: Wallet | None, offset: int | None) -> None:
        self.wallet_id = wallet_id
        self.before = wallet
        self.wallet = wallet
        self.offset = offset
        self.rows: list[tuple[int | None, bytes, bytes | None, WalletEvent | CommandRejected]] = []

    def expire(self, now: datetime) -> None:
        wallet = self.wallet
        if wallet is None:
            return
        for event in expire_due(wallet, now):
            wallet = evolve(wallet, event)
            self.rows.append((wallet.version, expiry_id(self.wallet_id, event.lot), None, event))
        self.wallet = wallet

    def accept(self, events: Sequence[WalletEvent], received: Received) -> None:
        wallet = self.wallet
        outcome = len(events) - 1
        for ordinal, event in enumerate(events):
            wallet = evolve(wallet, event)
            identity = (
                received.command_id
                if ordinal == outcome
                else further_id(received.command_id, ordinal)
            )
            self.rows.append((wallet.version, identity, received.body, event))
        self.wallet = wallet

    def refuse(self, rejection: Rejection, received: Received, identity: bytes) -> None:
        event = CommandRejected(
            code=rejection.code,
            message=rejection.message,
            wallet_version=0 if self.wallet is None else self.wallet.version,
            command=received.command,
        )
        self.rows.append((None, identity, received.body, event))

    def encode(
        self, shard: int, position: int, now: datetime, owner: Wallet | None
    ) -> list[bytes]:
        """The entries' bytes; `owner` says whose they are."""
        offset = self.offset
        last = len(self.rows) - 1
        return [
            encode_entry(
                Entry(
                    shard=shard,
                    position=position + index,
                    wallet_id=self.wallet_id,
                    version=version,
                    merchant_id=None if owner is None else owner.merchant_id,
                    environment=None if owner is None else owner.environment,
                    command_id=identity.hex(),
                    body_digest=None if body is None else body.hex(),
                    offset=offset,
                    last=offset is None or index == last,
                    occurred_at=now,
                    event=event,
                )
            )
            for index, (version, identity, body, event) in enumerate(self.rows)
        ]


class Deciding:
    """Decides the commands of one batch in order, each on what the ones before it left.

    `states` holds every wallet the batch can meet (None: it does not exist); `recorded` and
    `in_flight` map command and conflict ids to the digest of the body they were decided for.
    Without `repeats_known` the log was not asked for command ids, and refuses a repeat itself.
    """

    def __init__(
        self,
        shard: int,
        tip: Tip,
        now: datetime,
        *,
        states: dict[str, Wallet | None],
        recorded: Mapping[bytes, bytes],
        in_flight: Mapping[bytes, bytes],
        repeats_known: bool = True,
        snapshot_every: int,
        failures_in_row: int = 0,
        failures_max: int,
    ) -> None:
        self._shard = shard
        self._tip = tip
        self._now = now
        self._states = states
        self._recorded = recorded
        self._in_flight = in_flight
        self._repeats_known = repeats_known
        self._snapshot_every = snapshot_every
        self._failures_in_row = failures_in_row
        self._failures_max = failures_max
        self._outcomes: dict[bytes, bytes] = {}
        self._wallets: dict[str, Wallet] = {}
        self._snapshots: dict[str, int] = {}
        self._entries_bytes = 0
        self._lasts: list[bool] = []
        self._outcome_entries: list[tuple[int, int]] = []
        self._append = Append(
            from_offset=tip.offset,
            from_position=tip.position,
            to_offset=tip.offset,
            last_record=tip.last_record,
            frontier=tip.frontier,
            now=now,
            published=0,
        )

    def commands(self, commands: Sequence[Received]) -> int | None:
        """Decide commands in order, until the batch is full.

        The offset of the last one decided if some are left. Raises RepeatsUnknownError if one
        breaks the decider that may be a repeat, of which nothing is to be decided.
        """
        for number, received in enumerate(commands, 1):
            self.command(received)
            if self.is_full and number < len(commands):
                return received.offset
        return None

    def command(self, received: Received) -> None:
        """Decide one command; a repeat leaves nothing."""
        wallet = self._states[received.command.wallet_id]
        if wallet is not None and is_foreign(wallet, received.command):
            # never under the reference, which is the owner's to use
            self._refuse_once(received, wallet, None)
            return
        decided_for = self._decided_for(received.command_id)
        if decided_for is None:
            self._decide(received, wallet)
        elif decided_for != received.body:
            self._refuse_once(received, wallet, _CONFLICT)

    def wallet_due(self, wallet_id: str) -> None:
        """Let a wallet's lots that have run out expire, without a command.

        If the decider fails on it, the lots stay worth nothing, but the entries are left out.
        """
        staged = _Staged(wallet_id, self._states[wallet_id], offset=None)
        try:
            staged.expire(self._now)
            data = self._encode(staged)
        except Exception:
            logger.exception("expiry_failed shard=%d wallet=%s", self._shard, wallet_id)
            return
        self._keep(staged, data)

    @property
    def is_full(self) -> bool:
        """Whether so much is to be appended that the rest has to wait for the next batch."""
        return len(self._append.data) >= ENTRIES_MAX or self._entries_bytes >= ENTRIES_BYTES_MAX

    def _decided_for(self, digest: bytes) -> bytes | None:
        return (
            self._outcomes.get(digest) or self._in_flight.get(digest) or self._recorded.get(digest)
        )

    def _refuse_once(
        self, received: Received, wallet: Wallet | None, rejection: Rejection | None
    ) -> None:
        identity = received.conflict_id
        if self._decided_for(identity) is not None:
            return
        staged = _Staged(received.command.wallet_id, wallet, received.offset)
        try:
            data = self._refuse(staged, received, rejection)
        except Exception as error:  # noqa: BLE001 a defect in deciding must cost one command
            self._failed(received, error)
            return
        self._keep(staged, data)
        self._outcomes[identity] = received.body

    def _refuse(
        self, staged: _Staged, received: Received, rejection: Rejection | None
    ) -> list[bytes]:
        # a sender who took the wallet for another's is not told whose it is
        owner = None if rejection is None else staged.wallet
        if rejection is None:
            decision = decide(staged.wallet, received.command, self._now)
            if not isinstance(decision, Rejection):
                raise TypeError("a foreign command was accepted")
            rejection = decision
        staged.refuse(rejection, received, received.conflict_id)
        return staged.encode(self._shard, self._append.to_position, self._now, owner)

    def _decide(self, received: Received, wallet: Wallet | None) -> None:
        command = received.command
        staged = _Staged(command.wallet_id, wallet, received.offset)
        try:
            staged.expire(self._now)
            decision = decide(staged.wallet, command, self._now)
            if isinstance(decision, Rejection):
                staged.refuse(decision, received, received.command_id)
            else:
                staged.accept(decision, received)
            data = self._encode(staged)
        except Exception as error:  # noqa: BLE001 a defect in deciding must cost one command
            self._failed(received, error)
            return
        self._failures_in_row = 0
        self._keep(staged, data)
        self._outcomes[received.command_id] = received.body

    def _failed(self, received: Received, error: Exception) -> None:
        if not self._repeats_known:
            raise RepeatsUnknownError from error
        self._failures_in_row += 1
        logger.error(
            "decider_failed shard=%d offset=%d: the command is a dead letter",
            self._shard,
            received.offset,
            exc_info=error,
        )
        if self._failures_in_row >= self._failures_max:
            raise ShardHaltedError(
                "decider_failing",
                f"The decider failed on {self._failures_in_row} commands in a row, last on offset"
                f" {received.offset} of partition {self._shard} ({error!r}). Roll back to the"
                " release before this one, then retry the dead letters.",
            ) from error
        self.dead_letter(
            DeadLetterRow(
                offset=received.offset,
                reason="decider_failed",
                detail=clean_detail(repr(error)),
                key=received.key,
                payload=received.payload,
            )
        )

    def _encode(self, staged: _Staged) -> list[bytes]:
        return staged.encode(self._shard, self._append.to_position, self._now, staged.wallet)

    def _keep(self, staged: _Staged, entries: list[bytes]) -> None:
        append, wallet_id = self._append, staged.wallet_id
        for data, (version, identity, _, event) in zip(entries, staged.rows, strict=True):
            append.wallet_ids.append(wallet_id)
            append.versions.append(version)
            append.command_ids.append(identity)
            append.types.append(TAGS[type(event)])
            append.data.append(data)
            self._entries_bytes += len(data)
            self._lasts.append(staged.offset is None)
            if isinstance(event, CommandRejected):
                append.rejections.append(event.code)
            elif isinstance(event, Credited) and event.expires_at is not None and event.lot:
                append.due_added.add((event.expires_at, wallet_id))
        if staged.rows:
            self._lasts[-1] = True
            if staged.offset is not None:
                self._outcome_entries.append((staged.offset, len(self._lasts) - 1))
        wallet, before = staged.wallet, staged.before
        if wallet is not None and wallet is not before:
            self._states[wallet_id] = self._wallets[wallet_id] = wallet
            self._note_snapshot(wallet_id, 0 if before is None else before.version, wallet.version)

    def _note_snapshot(self, wallet_id: str, before: int, after: int) -> None:
        every = self._snapshot_every
        if before // every != after // every or wallet_id in self._snapshots:
            versions = self._append.versions
            index = len(versions) - 1
            while versions[index] is None:
                index -= 1
            self._snapshots[wallet_id] = index

    def dead_letter(self, letter: DeadLetterRow) -> None:
        """Keep a record that goes no further."""
        self._append.dead_letters.append(letter)

    def finish(self, offset: int, last_record: bytes | None) -> Batch:
        """The batch, for a shard that goes on at `offset`."""
        append = self._append
        append.to_offset, append.last_record = offset, last_record
        hashes = leaf_hashes(append.data)
        if hashes:
            append.frontier = self._tip.frontier.copy()
            append.frontier.extend(hashes)
        return Batch(
            append=append,
            tip=Tip(offset, last_record, append.to_position, append.frontier, self._now),
            leaf_hashes=hashes,
            lasts=self._lasts,
            outcome_entries=self._outcome_entries,
            wallets=self._wallets,
            outcomes=self._outcomes,
            snapshots=[
                Snapshot(
                    wallet_id=wallet_id,
                    version=self._wallets[wallet_id].version,
                    position=self._tip.position + index,
                    leaf_hash=hashes[index],
                    state=encode_wallet(self._wallets[wallet_id]),
                )
                for wallet_id, index in self._snapshots.items()
            ],
            failures_in_row=self._failures_in_row,
        )
