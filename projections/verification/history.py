"""Does every wallet's history follow from its beginning by the rules?

Each command is decided again on the state that replay has come to, at the time in the entry:
events have to come out the same to the last field, and refusals with the same code.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest

import msgspec
from msgspec import Struct

from engine.decider import HistoryError, decide, evolve, expire_due, is_foreign
from engine.wallet import Wallet, decode_wallet
from projections.verification.command_groups import Group
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenSnapshot
from projections.verification.identities import IdentityCheck
from projections.verification.rebuilt import rebuild
from schemas.commands import AnyCommand
from schemas.digests import body_digest, command_id
from schemas.entries import Entry
from schemas.events import TAGS, AnyEvent, CommandRejected, Expired
from schemas.rejections import Rejection


class Original(Struct, frozen=True):
    """Which body took a reference, and where."""

    position: int
    body_digest: str | None


class HistoryCheck:
    """Replays one shard. `wallets` are the states after the groups so far.

    A wallet whose history can't be followed is reported once and left out from there on.
    """

    def __init__(
        self, findings: Findings, shard: int, snapshots: Mapping[str, FrozenSnapshot]
    ) -> None:
        self.wallets: dict[str, Wallet] = {}
        self._findings = findings
        self._shard = shard
        self._snapshots = snapshots
        self._identities = IdentityCheck(findings, shard)
        self._lost: set[str] = set()
        self._last_at: datetime | None = None

    def followed(self) -> dict[str, Wallet]:
        """The states of the wallets whose history could be followed to here."""
        return {id_: wallet for id_, wallet in self.wallets.items() if id_ not in self._lost}

    def lose(self, wallet_id: str) -> None:
        """An entry of this wallet can't be read: what comes after can't be followed."""
        self._lost.add(wallet_id)

    def group(self, group: Group, originals: Mapping[bytes, Original]) -> None:
        """Takes one command's entries; `originals` by command id, for conflicts."""
        self._check_time(group[0])
        wallet_id = group[-1].wallet_id
        if wallet_id in self._lost:
            return
        try:
            self._replay(self.wallets.get(wallet_id), group, originals)
        except Exception as error:  # noqa: BLE001 what was tampered with can break any rule
            self._report("replay", group[-1], f"it can't be replayed: {error!r}")
            self._lost.add(wallet_id)

    def _replay(
        self, wallet: Wallet | None, group: Group, originals: Mapping[bytes, Original]
    ) -> None:
        outcome = group[-1]
        if isinstance(outcome.event, CommandRejected):
            self._findings.checked("rejections")
            self._reject_again(wallet, group, outcome.event, originals)
        else:
            self._findings.checked("replay", len(group))
            self._accept_again(wallet, group)
        self._apply(wallet, group)

    def _check_time(self, entry: Entry) -> None:
        if self._last_at is not None and entry.occurred_at < self._last_at:
            self._report("replay", entry, "it is dated before the entry that comes before it")
        self._last_at = entry.occurred_at

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
        for entry in group:
            if isinstance(entry.event, Expired):
                self._identities.expiry(entry, entry.event)
        self._identities.outcome(group, command, under_conflict_id=under_conflict_id)

    def _compare(self, group: Group, decided: Sequence[AnyEvent]) -> None:
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

    def _apply(self, wallet: Wallet | None, group: Group) -> None:
        for entry in group:
            if isinstance(entry.event, CommandRejected):
                if entry.version is not None:
                    self._report("replay", entry, "a rejection has no version, this one has")
                continue
            try:
                wallet = evolve(wallet, entry.event)
            except HistoryError as error:
                self._report("replay", entry, f"{error} The wallet is left out from here on.")
                self._lost.add(entry.wallet_id)
                return
            if entry.version != wallet.version:
                self._report(
                    "replay",
                    entry,
                    f"its version is {entry.version}, and the wallet's next is {wallet.version}; "
                    "the wallet is left out from here on",
                )
                self._lost.add(entry.wallet_id)
                return
            self._check_owner(entry, wallet)
            self._check_snapshot(entry, wallet)
        if wallet is not None:
            self.wallets[group[-1].wallet_id] = wallet

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
        snapshot = self._snapshots.get(entry.wallet_id)
        if snapshot is None or snapshot.version != wallet.version:
            return
        self._findings.checked("snapshots")
        try:
            same = decode_wallet(snapshot.state) == wallet
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
