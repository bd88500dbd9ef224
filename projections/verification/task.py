"""What a verifying process is told, and what it answers, as lines of JSON."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from projections.verification.progress import Progress
from projections.verification.shard_job import ShardOutcome
from projections.verification.signed import SignedShard


class Task(Struct, frozen=True, kw_only=True):
    """What it does for any shard. `settings` are all of them, passwords included."""

    settings: dict[str, Any]
    kafka: bool
    shards: list[int]
    instant: datetime
    signed: list[SignedShard]
    state_files: dict[int, str]


class Done(Struct, frozen=True, tag="done"):
    """It is done with one shard."""

    outcome: ShardOutcome


class Told(Struct, frozen=True, tag="progress"):
    """How far it is with a shard."""

    progress: Progress


class Failed(Struct, frozen=True, tag="failed"):
    """It can't go on. `kind`: what could not be reached, or whose fault it is."""

    kind: str
    message: str


Answer = Done | Told | Failed
"""Of which each stands on a line of its own."""
