"""Killing an engine while much is undecided."""

import asyncio
from typing import Final

from msgspec import Struct

from cli.demo.load import Load
from cli.demo.service import DemoService
from cli.demo.watch import Decided, Watch
from cli.errors import DemoFailedError

UNDECIDED_LEAST: Final = 0.2
"""The share of all commands that has to be undecided when the engine is gone."""

_UNDECIDED_AIM: Final = 0.35
_POLL_S: Final = 0.01


class Crash(Struct, frozen=True):
    """`undecided` of the records that Kafka had acknowledged were so when the engine was gone."""

    killed: str
    undecided: int


async def crash_an_engine(service: DemoService, watch: Watch, load: Load) -> Crash:
    """Kill the engine that has most left to do, once something and not too much is decided.

    Raises DemoFailedError if it was not in time.
    """
    total = len(load.lines)
    while True:
        service.check()
        acknowledged = load.acknowledged
        decided = await watch.decided()
        undecided = acknowledged - decided.total
        if decided.total and undecided >= _UNDECIDED_AIM * total:
            break
        if decided.total > (1 - UNDECIDED_LEAST) * total:
            raise DemoFailedError(
                f"{decided.total:,} of {total:,} commands were decided before an engine could be"
                " killed: send more of them, with --commands"
            )
        await asyncio.sleep(_POLL_S)
    killed = await service.kill_engine(_busiest(decided))
    left = acknowledged - (await watch.decided()).total
    if left < UNDECIDED_LEAST * total:
        raise DemoFailedError(
            f"only {left:,} of {total:,} commands were undecided when the engine was gone: send"
            " more of them, with --commands"
        )
    return Crash(killed, left)


def _busiest(decided: Decided) -> str:
    """The owner of the shard that is least far."""
    shard = min(decided.owners, key=lambda shard: decided.offsets[shard])
    return decided.owners[shard]
