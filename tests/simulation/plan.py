"""What one run of the simulation does: the commands, the faults and the settings, from a seed.

A plan is plain data, so that it can be written down, cut smaller, and run again.
"""

from datetime import UTC, datetime
from random import Random
from typing import Literal, get_args

from msgspec import Struct

from tests.simulation.commands import Planned, draw_commands

START = datetime(2026, 1, 1, tzinfo=UTC)
"""What the virtual clocks show when a run begins."""

PARTITIONS = 4
WORKERS = 2
COMMANDS_MIN = 300
FAULTS_MIN = 5
_COMMANDS_MAX = 360
_FAULTS_MAX = 14
_SENDING_MS = (8_000, 30_000)
_QUIET_AFTER_MS = 3_000

FaultKind = Literal[
    "worker_crash",
    "worker_pause",
    "rebalance",
    "clock_jump",
    "database_clock_jump",
    "database_crash",
    "connection_lost_before_commit",
    "connection_lost_during_commit",
    "connection_lost_after_commit",
    "serialization_failure",
    "lock_timeout",
    "slow_disk",
    "delivery_delayed",
    "delivery_repeated",
    "delivery_lost",
    "offsets_lost",
    "publication_refused",
    "publication_unknown",
    "publication_repeated",
    "broker_away",
    "projector_crash",
    "projector_pause",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong at `at_ms`.

    `target` is the number of a worker, a projector or a partition, whichever `kind` speaks of;
    `length_ms` how long it lasts; `size` the milliseconds that a clock jumps, signed.
    """

    kind: FaultKind
    at_ms: int
    target: int = 0
    length_ms: int = 0
    size: int = 0


class Rates(Struct, frozen=True, kw_only=True):
    """How often things go wrong besides the planned faults: probabilities.

    Those of the database count per statement, those of deliveries per fetch, those of
    publications per record batch.
    """

    connection_lost_before_commit: float = 0
    connection_lost_during_commit: float = 0
    connection_lost_after_commit: float = 0
    serialization_failure: float = 0
    lock_timeout: float = 0
    slow_disk: float = 0
    delivery_delayed: float = 0
    delivery_repeated: float = 0
    delivery_lost: float = 0
    publication_refused: float = 0
    publication_unknown: float = 0
    publication_repeated: float = 0


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that a run is made of; from `quiet_at_ms` on nothing goes wrong any more."""

    seed: int
    partitions: int = PARTITIONS
    workers: int = WORKERS
    projectors: int = 2
    settings: dict[str, int] = {}
    lots_max: int = 1000
    commands: list[Planned]
    faults: list[Fault]
    rates: Rates = Rates()
    quiet_at_ms: int

    @classmethod
    def draw(cls, seed: int) -> "Plan":
        """The plan of a seed; always the same."""
        source = Random(seed)
        sending_ms = source.randint(*_SENDING_MS)
        lots_max = source.choice((3, 6, 20, 1000))
        commands = draw_commands(
            source,
            count=source.randint(COMMANDS_MIN, _COMMANDS_MAX),
            partitions=PARTITIONS,
            start=START,
            sending_ms=sending_ms,
        )
        faults = _draw_faults(source, sending_ms)
        ends = [fault.at_ms + fault.length_ms for fault in faults]
        return cls(
            seed=seed,
            settings=_draw_settings(source),
            lots_max=lots_max,
            commands=commands,
            faults=faults,
            rates=_draw_rates(source),
            quiet_at_ms=max(sending_ms, *ends) + _QUIET_AFTER_MS,
        )


def _draw_settings(source: Random) -> dict[str, int]:
    return {
        "batch_commands_max": source.choice((1, 3, 10, 40, 500)),
        "queue_commands_max": source.choice((2, 10, 50, 20_000)),
        "cached_wallets_max": source.choice((1, 2, 5, 1000)),
        "snapshot_every_versions": source.choice((1, 2, 5, 20)),
        "unpublished_entries_max": source.choice((3, 20, 50_000)),
        "session_timeout_ms": source.choice((1_000, 3_000, 6_000)),
    }


def _draw_faults(source: Random, sending_ms: int) -> list[Fault]:
    count = source.randint(FAULTS_MIN, _FAULTS_MAX)
    # a few kinds a seed: each then meets itself and some others, not a mean of all
    kinds = source.sample(FAULT_KINDS, source.randint(2, 8))
    faults = [_draw_fault(source, source.choice(kinds), sending_ms) for _ in range(count)]
    return sorted(faults, key=lambda fault: fault.at_ms)


def _draw_fault(source: Random, kind: FaultKind, sending_ms: int) -> Fault:
    targets = PARTITIONS if kind.startswith(("delivery", "publication")) else WORKERS
    return Fault(
        kind=kind,
        at_ms=source.randint(200, sending_ms),
        target=source.randrange(targets),
        length_ms=source.choice((1, 50, 300, 1_500, 4_000, 12_000)),
        size=source.choice((-1, 1)) * source.choice((300, 900, 1_500, 6_000, 60_000, 3_600_000)),
    )


def _draw_rates(source: Random) -> Rates:
    names = Rates.__struct_fields__
    drawn = source.sample(names, source.randint(0, 4))
    return Rates(**{name: source.choice((0.002, 0.01, 0.04)) for name in drawn})
