"""All that is to be done for one shard, in the process that does it."""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from asyncpg import Connection
from msgspec import Struct

from projections.spool import Spool
from projections.verification.commands_topic import CommandsTopicCheck
from projections.verification.events_topic import EventsTopicCheck
from projections.verification.findings import Findings, Tallies
from projections.verification.money import MoneyLine
from projections.verification.progress import OnProgress, counter
from projections.verification.shard import ShardProof, ShardVerification
from projections.verification.signed import SignedShard
from projections.verification.topics import Topics

_LOG: Final = "log"
_ALL: Final = "all"


class ShardOutcome(Struct, kw_only=True):
    """What one shard came to."""

    proof: ShardProof
    books: list[MoneyLine]
    tallies: Tallies


class ShardJob(Struct, frozen=True, kw_only=True):
    """What is to be done. `state_file`: where what was done is found again, if anywhere."""

    shard: int
    instant: datetime
    signed: list[SignedShard]
    state_file: Path | None = None

    async def run(
        self,
        connection: Connection,
        topics: Topics | None,
        partitions: int | None,
        on_progress: OnProgress,
    ) -> ShardOutcome:
        """Does it, or what an interrupted process left of it."""
        with Spool(self.state_file) as spool:
            done = _noted(spool, _ALL)
            if done is None:
                done = _noted(spool, _LOG) or await self._log(connection, spool, on_progress)
                if topics is not None and partitions is not None:
                    await _compare(connection, topics, partitions, done, on_progress)
                _note(spool, _ALL, done)
            return done

    async def _log(
        self, connection: Connection, spool: Spool, on_progress: OnProgress
    ) -> ShardOutcome:
        verification = await ShardVerification.start(
            connection, self.shard, spool, self.instant, self.signed
        )
        on_page = counter(on_progress, f"shard {self.shard}", verification.size)
        proof, books = await verification.run(connection, on_page)
        outcome = ShardOutcome(proof=proof, books=books, tallies=verification.tallies)
        _note(spool, _LOG, outcome)
        return outcome


async def _compare(
    connection: Connection,
    topics: Topics,
    partitions: int,
    outcome: ShardOutcome,
    on_progress: OnProgress,
) -> None:
    findings, proof = Findings(outcome.tallies), outcome.proof
    commands = topics.commands(proof.shard)
    await CommandsTopicCheck(findings, connection, proof, partitions).run(
        commands, counter(on_progress, str(commands), proof.next_offset)
    )
    events = topics.events(proof.shard)
    await EventsTopicCheck(findings, connection, proof).run(
        events, counter(on_progress, str(events), proof.published)
    )


_decode = msgspec.msgpack.Decoder(ShardOutcome).decode


def _noted(spool: Spool, name: str) -> ShardOutcome | None:
    noted = spool.noted(name)
    return None if noted is None else _decode(noted)


def _note(spool: Spool, name: str, outcome: ShardOutcome) -> None:
    spool.note(name, msgspec.msgpack.encode(outcome))
    spool.commit()
