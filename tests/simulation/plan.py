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
_COMMANDS_MAX = 320
_FAULTS_MAX = 14
_SENDING_MS = (1_500, 6_000)
_CUT_OFF = 0.2
_REFUSING = 0.3
_REPEATING = 0.2
_QUIET_AFTER_MS = 500

FaultKind = Literal[
    "crash",
    "stop",
    "pause",
    "rebalance",
    "clock",
    "disk_slow",
    "connection_lost",
    "database_crash",
    "serialization",
    "append_repeated",
    "broker_down",
    "offsets_lost",
    "produce_refused",
    "fetch_lost",
    "fetch_repeated",
    "fetch_delayed",
    "projector_crash",
    "projector_pause",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong at `at_ms`, with a worker, or a projector where `kind` says so.

    crash            it dies at the `size`-th of its callbacks after `at_ms`; another one starts
                     after `length_ms`
    stop             it is told to stop, and another one starts `length_ms` after its end
    pause            from the `size`-th of its callbacks on nothing of it runs for `length_ms`; its
                     connections stay open
    rebalance        one more member joins the group for `length_ms`, and leaves
    clock            its clock is off by `size` seconds (negative: behind) for `length_ms`
    disk_slow        every statement takes up to `size` seconds more, for `length_ms`
    connection_lost  its next append loses the connection: 0 before, 1 during, 2 after the commit
    database_crash   the database is killed, and is back after `length_ms`
    serialization    its next statement fails: 0 serialization failure, 1 lock, 2 statement time-out
    append_repeated  its next append is carried out a second time after `length_ms`, as by a proxy
                     that repeats what it had no answer to
    broker_down      it gets no answer from the broker for `length_ms`
    offsets_lost     the broker forgets the group's offsets
    produce_refused  its next record batch of entries: 0 refused, 1 written but not acknowledged
    fetch_lost       its next fetched batch never reaches the handler
    fetch_repeated   its next fetched batch comes twice
    fetch_delayed    its next fetched batch comes `length_ms` late
    projector_crash, projector_pause    as `crash` and `pause`
    """

    kind: FaultKind
    at_ms: int
    target: int = 0
    length_ms: int = 0
    size: float = 0


class Rates(Struct, frozen=True, kw_only=True):
    """How often things go wrong besides the planned faults: a probability for each operation."""

    statement_failed: float = 0
    statement_slow: float = 0
    commit_unknown: float = 0
    append_repeated: float = 0
    produce_failed: float = 0
    produce_unknown: float = 0
    fetch_lost: float = 0
    fetch_repeated: float = 0
    fetch_delayed: float = 0
    marker: float = 0
    shuffled: float = 0


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
    refused: dict[str, str] = {}
    """By reference: the SQLSTATE of what the database has against all entries that name it."""
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
        settings = _draw_settings(source)
        faults = _draw_faults(source, sending_ms)
        if source.random() < _CUT_OFF:
            settings["session_timeout_ms"] = 1_000
            faults = sorted([*faults, *_cut_off(source, sending_ms)], key=_by_time)
        ends = [fault.at_ms + fault.length_ms for fault in faults]
        return cls(
            seed=seed,
            # two get into each other's way; one is quicker to simulate
            projectors=source.choice((1, 1, 1, 2)),
            settings=settings,
            lots_max=lots_max,
            commands=commands,
            faults=faults,
            rates=_draw_rates(source),
            refused=_draw_refused(source),
            quiet_at_ms=max(sending_ms, *ends) + _QUIET_AFTER_MS,
        )


def _draw_settings(source: Random) -> dict[str, int]:
    return {
        "batch_commands_max": source.choice((1, 3, 10, 10, 40, 40, 500, 500)),
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
    return sorted(faults, key=_by_time)


def _by_time(fault: Fault) -> int:
    return fault.at_ms


def _cut_off(source: Random, sending_ms: int) -> list[Fault]:
    """A worker loses the group but not the database, and has work left that takes a while."""
    target, at_ms = source.randrange(WORKERS), source.randint(200, sending_ms // 2)
    length_ms = source.choice((5_000, 8_000, 8_000))
    return [
        Fault(kind="broker_down", at_ms=at_ms, target=target, length_ms=length_ms),
        Fault(kind="disk_slow", at_ms=at_ms, length_ms=length_ms, size=source.choice((0.1, 0.4))),
    ]


def _draw_fault(source: Random, kind: FaultKind, sending_ms: int) -> Fault:
    return Fault(
        kind=kind,
        at_ms=source.randint(200, sending_ms),
        target=source.randrange(WORKERS),
        length_ms=source.choice((1, 20, 100, 300, 700, 1_500, 3_000, 5_000)),
        size=_draw_size(source, kind),
    )


def _draw_size(source: Random, kind: FaultKind) -> float:
    if kind in {"crash", "projector_crash", "pause", "projector_pause"}:
        return source.choice((0, 1, 2, 3, 5, 8, 13, 30, 100))
    if kind == "clock":
        return source.choice((-1, 1)) * source.choice((0.3, 0.9, 1.5, 4.5, 6, 60, 3_600))
    if kind == "disk_slow":
        return source.choice((0.01, 0.1, 1, 3))
    return source.randrange(3)


def _draw_refused(source: Random) -> dict[str, str]:
    if source.random() >= _REFUSING:
        return {}
    count = source.randint(1, 4)
    return {
        f"r{source.randint(1, COMMANDS_MIN)}": source.choice(("22021", "22P05", "54000"))
        for _ in range(count)
    }


def _draw_rates(source: Random) -> Rates:
    names = Rates.__struct_fields__
    drawn = source.sample(names, source.randint(0, 4))
    rates = {name: source.choice((0.002, 0.01, 0.04)) for name in drawn}
    if source.random() < _REPEATING:
        # what has no right to be done twice is refused at once, so that it costs little
        rates["append_repeated"] = 0.04
    # the order of what is ready at once is nothing that goes wrong
    return Rates(**rates | {"shuffled": source.choice((0, 0.1, 1))})
