"""Are the ids and digests of a command's entries those of the command?"""

from itertools import count

from projections.verification.command_groups import Group
from projections.verification.findings import Findings
from projections.verification.rebuilt import EVERY_WAY, NOTHING_SAID, saying
from schemas import digests
from schemas.commands import AnyCommand
from schemas.entries import Entry
from schemas.events import CommandRejected, Expired


class IdentityCheck:
    """The ids and body digests of one shard's entries."""

    def __init__(self, findings: Findings, shard: int) -> None:
        self._findings = findings
        self._shard = shard
        self._tally = findings.tally("digests")
        self._usual = NOTHING_SAID

    def expiry(self, entry: Entry, event: Expired) -> None:
        """An expiry is named by its lot, and no body led to it."""
        self._compare(entry, digests.expiry_id(entry.wallet_id, event.lot))
        if entry.body_digest is not None:
            self._report(entry, "an expiry has no body, and this one has a digest of one")

    def outcome(self, group: Group, command: AnyCommand, *, under_conflict_id: bool) -> None:
        """The outcome is named by the reference, what else it led to by its ordinal.

        `under_conflict_id`: the body came under a taken reference or from a foreign merchant.
        """
        outcome = group[-1]
        if command.wallet_id != outcome.wallet_id:
            self._report(outcome, f"the command in it is for wallet {command.wallet_id}")
        identity = digests.command_id(outcome.wallet_id, command.reference)
        body = self._body(outcome, command)
        self._compare(
            outcome, digests.conflict_id(identity, body) if under_conflict_id else identity
        )
        if len(group) > 1:
            self._check_further(group, outcome, identity)

    def _check_further(self, group: Group, outcome: Entry, identity: bytes) -> None:
        further = count()
        for entry in group[:-1]:
            if not isinstance(entry.event, Expired):
                self._compare(entry, digests.further_id(identity, next(further)))
                if entry.body_digest != outcome.body_digest:
                    self._report(entry, "its body digest is not the one of its command's outcome")

    def _body(self, outcome: Entry, command: AnyCommand) -> bytes:
        # most are said as the one before was
        for ways in ((self._usual,), EVERY_WAY):
            for said in ways:
                body = saying(command, outcome, said)
                if body is None:
                    continue
                digest = digests.body_digest(body)
                if digest.hex() == outcome.body_digest:
                    self._usual = said
                    return digest
        self._report(outcome, "no command that leads to this entry has its body digest")
        return digests.body_digest(command)

    def _compare(self, entry: Entry, expected: bytes) -> None:
        self._tally.checked += 1
        if entry.command_id != expected.hex():
            kind = "rejection" if isinstance(entry.event, CommandRejected) else "event"
            self._report(
                entry, f"its id is {entry.command_id}, and that of such an {kind} {expected.hex()}"
            )

    def _report(self, entry: Entry, message: str) -> None:
        self._findings.report("digests", message, shard=self._shard, position=entry.position)
