"""A command's digest is found whatever the command said of the wallet it meant."""

from itertools import product

from projections.verification.findings import Findings
from projections.verification.identities import IdentityCheck
from projections.verification.rebuilt import rebuild
from tests.support.history import HistoryBuilder

SAID = {"merchant_id": "mch_1", "environment": "live", "currency": "GHS"}
WAYS = [
    {name: SAID[name] for name, is_said in zip(SAID, each, strict=True) if is_said}
    for each in product((False, True), repeat=3)
]


def checked(history: HistoryBuilder) -> Findings:
    findings = Findings()
    check = IdentityCheck(findings, 0)
    for entry in history.entries:
        command = rebuild(entry.wallet_id, entry.event)
        assert command is not None
        check.outcome([entry], command, under_conflict_id=False)
    return findings


def said_in_every_way() -> HistoryBuilder:
    history = HistoryBuilder().create("wal_a")
    for before, way in product(WAYS, WAYS):
        history.topup("wal_a", 50, **before).credit("wal_a", 50, **way).debit("wal_a", 7, **before)
        owner = {name: value for name, value in way.items() if name != "currency"}
        history.freeze("wal_a", **owner).unfreeze("wal_a")
    return history


def test_whatever_was_said_before():
    history = said_in_every_way()
    digests = checked(history).tally("digests")
    assert (digests.checked, digests.failed) == (len(history.entries), 0)


def test_another_amount_has_no_such_digest():
    entry, other = [
        HistoryBuilder().create("wal_a").topup("wal_a", amount, **SAID).entries[1]
        for amount in (50, 51)
    ]
    findings = Findings()
    command = rebuild("wal_a", other.event)
    assert command is not None
    IdentityCheck(findings, 0).outcome([entry], command, under_conflict_id=False)
    assert findings.tally("digests").failed == 1
