"""What verification looks at, how much of it, and what does not hold."""

from typing import Final

from msgspec import Struct

CHECKS: Final[dict[str, str]] = {
    "guards": "the database refuses to change the log",
    "positions": "positions run from 0 to the shard's size without a gap",
    "columns": "every column says what its entry says",
    "digests": "every id and digest is that of its command",
    "commands": "entries of one command stand together, commands in the order of their offsets",
    "replay": "every event comes out the same when it is decided again",
    "rejections": "every rejection comes out the same when it is decided again",
    "root": "the Merkle root, computed anew, is the one in the shard's row",
    "tiles": "the stored tiles are those of the log",
    "checkpoint": "the log begins with what signed checkpoints say that it held",
    "wallet_trees": "the trees of wallets, signed or kept, count those of the log",
    "snapshots": "every snapshot is the state that replay comes to",
    "timers": "every lot that will expire has its timer",
    "set_aside": "dead letters and forwards are decided records that have no entry",
    "wallets": "read model wallets equals a replay of the log",
    "lots": "read model lots equals a replay of the log",
    "transactions": "read model transactions equals a replay of the log",
    "postings": "read model postings equals a replay of the log",
    "zero_sum": "postings sum to zero, per currency",
    "money": "money in - out - expired - written off = sum of balances, per currency",
    "commands_topic": "every decided record of the commands topic has exactly one outcome",
    "events_topic": "the events topic has the same entries, byte for byte, in order",
}
"""Every check by name, and what it says when it holds."""

_OF_ENTRIES: Final = frozenset(
    {"positions", "columns", "digests", "commands", "replay", "rejections", "root", "checkpoint"}
)
"""What these find is wrong with an entry itself; what the others find may only follow from it."""

_KEPT_MAX: Final = 100


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that does not hold. `position` is the entry's, `offset` the record's."""

    check: str
    message: str
    shard: int | None = None
    position: int | None = None
    offset: int | None = None

    @property
    def place(self) -> str:
        """`shard 3, position 1042`, as far as it is known."""
        parts = {"shard": self.shard, "position": self.position, "offset": self.offset}
        return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


class CheckResult(Struct, frozen=True, kw_only=True):
    """One line of the proof. `checked` counts what was looked at, `failed` what does not hold."""

    name: str
    claim: str
    checked: int
    failed: int
    notes: list[str]
    findings: list[Finding]


class Tally(Struct, kw_only=True):
    """What one check has come to so far."""

    looked: bool = False
    checked: int = 0
    failed: int = 0
    notes: list[str] = []
    findings: list[Finding] = []


Tallies = dict[str, Tally]
"""By the names of the checks."""


class Findings:
    """Collects what the checks report; of each check the first hundred findings are kept."""

    def __init__(self, tallies: Tallies | None = None) -> None:
        self._tallies = {name: Tally() for name in CHECKS} if tallies is None else tallies

    @property
    def tallies(self) -> Tallies:
        """What has been collected, to go on from elsewhere or to be added up."""
        return self._tallies

    def add(self, tallies: Tallies) -> None:
        """Take over what was collected elsewhere."""
        for name, more in tallies.items():
            tally = self._tallies[name]
            tally.looked |= more.looked
            tally.checked += more.checked
            tally.failed += more.failed
            tally.notes += more.notes
            room = _KEPT_MAX - len(tally.findings)
            tally.findings += more.findings[:room]

    def checked(self, check: str, count: int = 1) -> None:
        """So many things have been looked at; 0 says that there were none to look at."""
        self._tallies[check].looked = True
        self._tallies[check].checked += count

    def tally(self, check: str) -> Tally:
        """What the check has come to, for what is counted too often to look it up each time."""
        return self._tallies[check]

    def note(self, check: str, text: str) -> None:
        """Something a reader of the proof should know, though nothing is wrong."""
        self._tallies[check].notes.append(text)

    def report(
        self,
        check: str,
        message: str,
        *,
        shard: int | None = None,
        position: int | None = None,
        offset: int | None = None,
    ) -> None:
        """Something does not hold."""
        tally = self._tallies[check]
        tally.failed += 1
        if len(tally.findings) < _KEPT_MAX:
            tally.findings.append(
                Finding(
                    check=check, message=message, shard=shard, position=position, offset=offset
                )
            )

    def results(self) -> list[CheckResult]:
        """Every check that was carried out or failed, in the order of `CHECKS`."""
        return [
            CheckResult(
                name=name,
                claim=CHECKS[name],
                checked=tally.checked,
                failed=tally.failed,
                notes=tally.notes,
                findings=tally.findings,
            )
            for name, tally in self._tallies.items()
            if tally.looked or tally.failed
        ]

    def first(self) -> Finding | None:
        """The first bad entry: the lowest position of the lowest shard; else what else is wrong."""
        found = [finding for tally in self._tallies.values() for finding in tally.findings]
        return min(found, key=_rank, default=None)


def _rank(finding: Finding) -> tuple[bool, bool, int, bool, int]:
    return (
        finding.check not in _OF_ENTRIES,
        finding.shard is None,
        finding.shard or 0,
        finding.position is None,
        finding.position or 0,
    )
