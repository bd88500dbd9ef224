"""The proof that a database holds what it should, and that the topics agree with it.

proof = await verify(settings, on_progress=print)
assert proof.passed, proof.first
"""

import os
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from asyncpg import Connection
from msgspec import Struct
from pydantic import SecretStr

from engine.replay import final_before, partition_count
from engine.settings import Settings
from projections.comparison import live_sources
from projections.verification.connecting import connected
from projections.verification.errors import VerificationError
from projections.verification.findings import CheckResult, Finding, Findings
from projections.verification.guards import check_guards
from projections.verification.models import check_catalog
from projections.verification.money import MoneyLine, add_up
from projections.verification.progress import OnProgress
from projections.verification.queries import QUERIES
from projections.verification.shard import ShardProof
from projections.verification.shard_job import ShardJob, ShardOutcome
from projections.verification.signed import SignedShard
from projections.verification.state_directory import Run, StateDirectory, identify
from projections.verification.task import Task
from projections.verification.topics import reaching_topics
from projections.verification.workers import Workers


class Proof(Struct, frozen=True, kw_only=True):
    """What was verified, up to where, and what does not hold.

    `instant` is the moment of the `books`: no entry of that time can come any more. `first` names
    the first bad entry, or if no entry is bad what else is wrong; None if everything holds.
    """

    instant: datetime
    shards: list[ShardProof]
    checks: list[CheckResult]
    books: list[MoneyLine]
    first: Finding | None

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return self.first is None


async def verify(
    settings: Settings,
    *,
    shards: Collection[int] | None = None,
    kafka: bool = True,
    signed: Sequence[SignedShard] = (),
    processes: int | None = None,
    state: Path | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Proof:
    """Verifies the database, or these shards of it, and with `kafka` the topics.

    Each shard is taken as it stands when its turn comes and read in short statements, so the
    engines can go on meanwhile. Memory is bounded, whatever the size. `signed` is what the log has
    to go on from. `processes` verify shards at the same time, one for each core unless said. What
    is interrupted goes on where it was if the same is asked again with the same `state`, a
    directory. Raises VerificationError or what asyncpg raises if it can't be carried out; what
    does not hold is in the proof.
    """
    async with connected(settings) as connection:
        verification = await _Verification.start(connection, shards, signed)
        database = await identify(connection)
    asked = Run(
        database=database,
        shards=verification.shards,
        kafka=kafka,
        signed=list(signed),
        instant=verification.instant,
    )
    directory = None if state is None else StateDirectory(state)
    run = asked if directory is None else directory.enter(asked)
    verification.instant = run.instant
    task = Task(
        settings=_plain(settings),
        kafka=kafka,
        shards=run.shards,
        instant=run.instant,
        signed=run.signed,
        state_files={s: str(directory.file(s)) for s in run.shards} if directory else {},
    )
    workers = Workers(task, processes or os.cpu_count() or 1, on_progress)
    verification.add(await workers.run(run.shards))
    if directory is not None:
        directory.leave(run)
    return verification.proof()


async def verify_through(
    connection: Connection,
    topics: Settings | None = None,
    shards: Collection[int] | None = None,
    signed: Sequence[SignedShard] = (),
    on_progress: OnProgress = lambda _: None,
) -> Proof:
    """As `verify`, through the caller's connection, and the topics only if their settings are given.

    In a transaction the connection sees what that has changed; it has to be REPEATABLE READ.
    """
    verification = await _Verification.start(connection, shards, signed)
    jobs = [
        ShardJob(
            shard=shard,
            instant=verification.instant,
            signed=[each for each in signed if each.shard == shard],
        )
        for shard in verification.shards
    ]
    partitions = await partition_count(connection)
    if topics is None or partitions is None:
        outcomes = [await job.run(connection, None, None, on_progress) for job in jobs]
    else:
        async with reaching_topics(topics, verification.shards) as readers:
            outcomes = [
                await job.run(connection, readers, partitions, on_progress) for job in jobs
            ]
    verification.add(outcomes)
    return verification.proof()


class _Verification:
    """What concerns all shards, and what they came to together."""

    def __init__(self, instant: datetime, shards: list[int], findings: Findings) -> None:
        self.instant = instant
        self.shards = shards
        self._findings = findings
        self._proofs: list[ShardProof] = []
        self._books: list[list[MoneyLine]] = []

    @classmethod
    async def start(
        cls,
        connection: Connection,
        wanted: Collection[int] | None,
        signed: Sequence[SignedShard],
    ) -> "_Verification":
        findings = Findings()
        shards = await _choose(connection, findings, wanted)
        await check_guards(connection, findings)
        if wanted is None:
            await check_catalog(connection, findings, await live_sources(connection), shards)
            _check_signed(findings, shards, signed)
        return cls(await final_before(connection), shards, findings)

    def add(self, outcomes: Sequence[ShardOutcome]) -> None:
        for outcome in outcomes:
            self._findings.add(outcome.tallies)
            self._proofs.append(outcome.proof)
            self._books.append(outcome.books)

    def proof(self) -> Proof:
        return Proof(
            instant=self.instant,
            shards=self._proofs,
            checks=self._findings.results(),
            books=add_up(self._books),
            first=self._findings.first(),
        )


async def _choose(
    connection: Connection, findings: Findings, wanted: Collection[int] | None
) -> list[int]:
    rows = await connection.fetch(QUERIES["shards"])
    for row in rows:
        if not row["has_row"] and (wanted is None or row["shard"] in wanted):
            findings.report(
                "positions",
                "the shard has entries, and no row in the table of shards",
                shard=row["shard"],
                position=0,
            )
    known = [row["shard"] for row in rows if row["has_row"]]
    if wanted is not None and (unknown := sorted(set(wanted) - set(known))):
        raise VerificationError(
            f"There is no shard {', '.join(map(str, unknown))}; there are "
            f"{', '.join(map(str, known)) or 'none, for no engine has started yet'}."
        )
    return known if wanted is None else sorted(wanted)


def _check_signed(
    findings: Findings, shards: Collection[int], signed: Sequence[SignedShard]
) -> None:
    for each in signed:
        if each.shard not in shards:
            findings.report(
                "checkpoint",
                f"{each.source} signs {each.size} entries, and there is no such shard",
                shard=each.shard,
            )
    for source in sorted({each.source for each in signed}):
        left = sorted(set(shards) - {each.shard for each in signed if each.source == source})
        if left:
            findings.note(
                "checkpoint", f"{source} says nothing of shard {', '.join(map(str, left))}"
            )


def _plain(settings: Settings) -> dict[str, object]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings
    }
