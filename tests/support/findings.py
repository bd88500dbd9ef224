"""What a proof has found, check by check."""

from projections.verification import Proof
from projections.verification.findings import CheckResult


def check(proof: Proof, name: str) -> CheckResult:
    return next(result for result in proof.checks if result.name == name)


def failed(proof: Proof) -> set[str]:
    return {result.name for result in proof.checks if result.failed}


def assert_found(proof: Proof, name: str, position: int | None) -> None:
    """The check failed, and this is the first wrong position that it named."""
    assert not proof.passed
    assert proof.first is not None
    findings = check(proof, name).findings
    assert findings, f"{name} found nothing; {failed(proof)} did: {proof.first}"
    assert min(finding.position or 0 for finding in findings) == (position or 0), findings[0]
    if position is not None:
        assert proof.first.position == position, proof.first
