"""How a proof is shown: what was looked at, the books, and what does not hold."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from cli.output import print_json, print_table, say
from projections.verification import CheckResult, Finding, MoneyLine, Proof
from schemas.instants import to_text
from schemas.money import format_decimal

_SHOWN_MAX: Final = 5


class Shown(NamedTuple):
    """A claim that somebody else has checked, and that holds."""

    checked: int
    claim: str


def print_proof(proof: Proof, also: Sequence[Shown] = ()) -> None:
    """Tables, then every note, then what failed, and the verdict last."""
    print_table(
        ["", "checked", "claim"],
        [
            *(("PASS", shown.checked, shown.claim) for shown in also),
            *((_verdict(check), check.checked, check.claim) for check in proof.checks),
        ],
        right=["checked"],
    )
    _print_books(proof)
    _print_shards(proof)
    for check in proof.checks:
        for text in check.notes:
            say(f"note: {text}")
    for check in proof.checks:
        _print_findings(check)
    if proof.first is None:
        say("\nPASS: everything above holds.")
    else:
        say(f"\nFAIL: first, {_sentence(proof.first)}")


def print_proof_json(proof: Proof) -> None:
    """The whole proof as one JSON document."""
    print_json({"passed": proof.passed, **msgspec.to_builtins(proof)})


def _print_books(proof: Proof) -> None:
    if not proof.books:
        return
    say(f"\nMoney at {to_text(proof.instant)}; no entry of that time can come any more:\n")
    columns = ["in", "- out", "- expired", "- written off", "= balances"]
    print_table(["", *columns, " "], [_book(line) for line in proof.books], right=columns)


def _book(line: MoneyLine) -> tuple[object, ...]:
    amounts = (
        line.topped_up + line.credited,
        line.debited,
        line.expired + line.run_out,
        line.written_off,
        line.balances,
    )
    return (
        line.currency,
        *(format_decimal(amount, line.currency) for amount in amounts),
        "PASS" if line.balances == line.expected else "FAIL",
    )


def _print_shards(proof: Proof) -> None:
    if not proof.shards:
        return
    say("")
    columns = ["shard", "entries", "published", "next offset"]
    print_table(
        columns,
        [
            (shard.shard, shard.entries, shard.published, shard.next_offset)
            for shard in proof.shards
        ],
        right=columns,
    )
    say("\nMerkle roots over these entries:\n")
    for shard in proof.shards:
        say(f"  {shard.shard:>3}  {shard.root}")


def _print_findings(check: CheckResult) -> None:
    if not check.failed:
        return
    say(f"\nFAIL {check.name}: not true that {check.claim}")
    for finding in check.findings[:_SHOWN_MAX]:
        say(f"  {_sentence(finding)}")
    if check.failed > _SHOWN_MAX:
        say(f"  and {check.failed - _SHOWN_MAX:,} more")


def _sentence(finding: Finding) -> str:
    return f"{finding.place}: {finding.message}" if finding.place else finding.message


def _verdict(check: CheckResult) -> str:
    return "FAIL" if check.failed else "PASS"
