"""The proof: the log against its rules, its tree, its tables, its read models and its topics."""

from projections.verification.errors import TopicsUnreachableError, VerificationError
from projections.verification.findings import CHECKS, CheckResult, Finding
from projections.verification.money import MoneyLine
from projections.verification.progress import OnProgress, Progress
from projections.verification.proof import Proof, verify, verify_through
from projections.verification.shard import ShardProof
from projections.verification.signed import SignedShard

__all__ = [
    "CHECKS",
    "CheckResult",
    "Finding",
    "MoneyLine",
    "OnProgress",
    "Progress",
    "Proof",
    "ShardProof",
    "SignedShard",
    "TopicsUnreachableError",
    "VerificationError",
    "verify",
    "verify_through",
]
