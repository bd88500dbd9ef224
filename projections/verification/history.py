"""Does every wallet's history follow from its beginning by the rules?

Each command is decided again on the state that replay has come to, at the time in the entry:
events have to come out the same to the last field, and refusals with the same code.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Final

import msgspec
from msgspec import Struct

from engine.decider import HistoryError, decide, evolve, expire_due, is_foreign
from engine.wallet import Wallet, decode_wallet
from projections.expected import Evolve
from projections.spool import Codec, Spool
from projections.verification.command_groups import Group
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenTables
from projections.verification.identities import IdentityCheck
from projections.verification.rebuilt import rebuild
from schemas.commands import AnyCommand
from schemas.digests import body_digest, command_id
from schemas.entries import Entry
from schemas.events import TAGS, AnyEvent, CommandRejected, Expired
from schemas.money import AMOUNT_MAX
from schemas.rejections import Rejection


class Original(Struct, frozen=True):
    """Which body took a reference, and where."""

    position: int
    body_digest: str | None


class _Followed(Struct, frozen=True, array_like=True, gc=False):
    """A wallet so far, and whether its history could not be followed any further."""

    wallet: Wallet | None
    lost: bool
    # the versions that a stored state is to be held against
    snapshots: tuple[int, ...] = ()


_FOLLOWED: Final = Codec[_Followed](
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder(_Followed).decode,
    lambda followed: 1 + (0 if followed.wallet is None else len(followed.wallet.lots)),
)


class HistoryCheck:
    """Replays one shard; the states after the groups so far are in the spool.

    A wallet whose history can't be followed is reported once and left out from there on. `last_at`
    is the time of the last entry so far.
    """

    def __init__(
        self,
        findings: Findings,
        shard: int,
        spool: Spool,
        last_at: datetime | None = None,
        evolved: Evolve = evolve,
    ) -> None:
        self.last_at = last_at
        self._findings = findings
        self._replayed = findings.tally("replay")
        self._shard = shard
        self._evolved = evolved
        self._snapshots = FrozenTables(spool).snapshots
        self._wallets = spool.map("wallets", _FOLLOWED)
        self._identities = IdentityCheck(findings, shard)

    def wallets(self) -> Iterator[Wallet]:
        """Every state so far."""
        return (each.wallet for each in self._wallets.values() if each.wallet is not None)

    def followed(self) -> Iterator[tuple[str, Wallet]]:
        """The states of the wallets whose history could be followed to here."""
        for wallet_id, each in self._wallets.items():
            if each.wallet is not None and not each.lost:
                yield wallet_id, each.wallet

    def lose(self, wallet_id: str) -> None:
        """An entry of this wallet can't be read: what comes after can't be followed."""
        followed = self._wallets.get(wallet_id)
        wallet = None if followed is None else followed.wallet
        self._wallets[wallet_id] = _Followed(wallet, lost=True)

    def group(self, group: Group, originals: Mapping[bytes, Original]) -> None:
        """Takes one command's entries; `originals` by command id, for conflicts."""
        first, outcome = group[0], group[-1]
        if self.last_at is not None and first.occurred_at < self.last_at:
            self._report("replay", first, "it is dated before the entry that comes before it")
        self.last_at = first.occurred_at
        followed = self._wallets.get(outcome.wallet_id)
        if followed is not None and followed.lost:
            return
        try:
            self._replay(followed, group, originals)
        except Exception as error:  # noqa: BLE001 what was tampered with can break any rule
            self._report("replay", outcome, f"it can't be replayed: {error!r}")
            self.lose(outcome.wallet_id)

    def _replay(
        self, followed: _Followed | None, group: Group, originals: Mapping[bytes, Original]
    ) -> None:
        wallet = None if followed is None else followed.wallet
        outcome = group[-1]
        if isinstance(outcome.event, CommandRejected):
            self._findings.checked("rejections")
            self._reject_again(wallet, group, outcome.event, originals)
        else:
            self._replayed.checked += len(group)
            self._accept_again(wallet, group)
        self._apply(followed, group)

    def _accept_again(self, wallet: Wallet | None, group: Group) -> None:
        outcome = group[-1]
        if outcome.offset is None and isinstance(outcome.event, Expired):
            due = () if wallet is None else expire_due(wallet, outcome.occurred_at)
            self._identities.expiry(outcome, outcome.event)
            self._compare(group, due[:1])
            return
        command = rebuild(outcome.wallet_id, outcome.event)
        if command is None or outcome.offset is None:
            self._report("replay", outcome, f"no command ends in {_name(outcome.event)} like this")
            return
        self._check_identities(group, command, under_conflict_id=False)
        decision = decide(wallet, command, outcome.occurred_at)
        if isinstance(decision, Rejection):
            self._report(
                "replay",
                outcome,
                f"deciding it again refuses it with {decision.code}: {decision.message}",
            )
            return
        self._compare(group, decision)

    def _check_identities(
        self, group: Group, command: AnyCommand, *, under_conflict_id: bool
    ) -> None:
        if len(group) > 1:
            for entry in group:
                if isinstance(entry.event, Expired):
                    self._identities.expiry(entry, entry.event)
        self._identities.outcome(group, command, under_conflict_id=under_conflict_id)

    def _compare(self, group: Group, decided: Sequence[AnyEvent]) -> None:
        if len(group) == len(decided) == 1 and group[0].event == decided[0]:
            return
        for entry, event in zip_longest(group, decided):
            if entry is None:
                self._report(
                    "replay", group[-1], f"deciding it again also leads to {_name(event)}"
                )
            elif event is None:
                self._report(
                    "replay", entry, f"deciding it again does not lead to {_name(entry.event)}"
                )
            elif entry.event != event:
                self._report("replay", entry, _difference(entry.event, event))
            else:
                continue
            return

    def _reject_again(
        self,
        wallet: Wallet | None,
        group: Group,
        event: CommandRejected,
        originals: Mapping[bytes, Original],
    ) -> None:
        *expiries, outcome = group
        if expiries and wallet is not None:
            due = expire_due(wallet, outcome.occurred_at)
            self._compare(expiries, due)
            try:
                for expired in due:
                    wallet = evolve(wallet, expired)
            except HistoryError:
                return
        foreign = wallet is not None and is_foreign(wallet, event.command)
        conflict = event.code == "reference_conflict"
        self._check_identities(group, event.command, under_conflict_id=foreign or conflict)
        version = 0 if wallet is None else wallet.version
        if event.wallet_version != version:
            self._report(
                "rejections",
                outcome,
                f"it names version {event.wallet_version} of the wallet, which is at {version}",
            )
        owner = None if foreign else wallet
        self._check_owner(outcome, owner)
        if conflict and not foreign:
            self._check_conflict(outcome, event, originals)
            return
        again = decide(wallet, event.command, outcome.occurred_at)
        code = again.code if isinstance(again, Rejection) else "accepted"
        if code != event.code:
            self._report(
                "rejections", outcome, f"deciding it again comes to {code}, not {event.code}"
            )

    def _check_conflict(
        self, outcome: Entry, event: CommandRejected, originals: Mapping[bytes, Original]
    ) -> None:
        identity = command_id(outcome.wallet_id, event.command.reference)
        original = originals.get(identity)
        if original is None or original.position >= outcome.position:
            message = "nothing before it has taken its reference"
        elif original.body_digest == body_digest(event.command).hex():
            message = f"the entry at position {original.position} has the same body"
        else:
            return
        self._report("rejections", outcome, message)

    def _apply(self, followed: _Followed | None, group: Group) -> None:
        if followed is None:
            wallet, snapshots = None, self._snapshots.numbers(group[-1].wallet_id)
        else:
            wallet, snapshots = followed.wallet, followed.snapshots
        for entry in group:
            if isinstance(entry.event, CommandRejected):
                if entry.version is not None:
                    self._report("replay", entry, "a rejection has no version, this one has")
                continue
            try:
                wallet = self._evolved(wallet, entry.event)
            except HistoryError as error:
                self._report("replay", entry, f"{error} The wallet is left out from here on.")
                self.lose(entry.wallet_id)
                return
            if entry.version != wallet.version or not -AMOUNT_MAX <= wallet.balance <= AMOUNT_MAX:
                self._report_state(entry, wallet)
                self.lose(entry.wallet_id)
                return
            self._check_owner(entry, wallet)
            if wallet.version in snapshots:
                self._check_snapshot(entry, wallet)
        if wallet is not None:
            self._wallets[group[-1].wallet_id] = _Followed(wallet, False, snapshots)

    def _report_state(self, entry: Entry, wallet: Wallet) -> None:
        if entry.version != wallet.version:
            message = (
                f"its version is {entry.version}, and the wallet's next is {wallet.version}; "
                "the wallet is left out from here on"
            )
        else:
            message = "the balance after it does not fit 64 bits"
        self._report("replay", entry, message)

    def _check_owner(self, entry: Entry, owner: Wallet | None) -> None:
        expected = (None, None) if owner is None else (owner.merchant_id, owner.environment)
        if (entry.merchant_id, entry.environment) != expected:
            self._report(
                "replay",
                entry,
                f"it says merchant {entry.merchant_id} and environment {entry.environment}, "
                f"and should say {expected[0]} and {expected[1]}",
            )

    def _check_snapshot(self, entry: Entry, wallet: Wallet) -> None:
        snapshot = self._snapshots.get(entry.wallet_id, wallet.version)
        if snapshot is None:
            return
        self._findings.checked("snapshots")
        try:
            same = decode_wallet(snapshot) == wallet
        except msgspec.DecodeError:
            same = False
        if not same:
            self._report(
                "snapshots",
                entry,
                f"the snapshot of wallet {entry.wallet_id} at version {wallet.version} is not "
                "the state after this entry: delete that row",
            )

    def _report(self, check: str, entry: Entry, message: str) -> None:
        self._findings.report(check, message, shard=self._shard, position=entry.position)


def _name(event: AnyEvent) -> str:
    return TAGS[type(event)]


def _difference(logged: AnyEvent, decided: AnyEvent) -> str:
    if type(logged) is not type(decided):
        return f"it is {_name(logged)}, and deciding it again leads to {_name(decided)}"
    fields = (field.name for field in msgspec.structs.fields(logged))
    name = next(name for name in fields if getattr(logged, name) != getattr(decided, name))
    return (
        f"its {name} is {getattr(logged, name)!r}, and deciding it again gives "
        f"{getattr(decided, name)!r}"
    )
