"""Owns one assigned partition: claims its shard, works under the lease, and claims again.

Claiming runs in a task of its own, never in the rebalance callback, in which no heartbeats are
sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from engine.batch import Tip
from engine.cancelling import cancel
from engine.errors import (
    ClockRefusedError,
    PartitionsChangedError,
    ShardHaltedError,
)
from engine.intake import Record
from engine.lease import Flow, Lease
from engine.log import ShardLog

logger = logging.getLogger(__name__)

_BACK_OFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STOP_S: Final = 5.0


class Membership(Flow, Protocol):
    """The consumer's side of one partition."""

    async def prove(self, offset: int) -> None:
        """Commit an offset; raises while this process is no member that owns the partition."""


class ShardOwner:
    """Keeps a lease on one shard for as long as its partition is assigned here."""

    def __init__(
        self,
        shard: int,
        membership: Membership,
        connect: Callable[[int], Awaitable[ShardLog]],
        claim: Callable[[ShardLog], Awaitable[Lease]],
    ) -> None:
        self.shard = shard
        self._membership = membership
        self._connect = connect
        self._claim = claim
        self._lease: Lease | None = None
        self._failures = 0
        self._has_claimed = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def committed(self) -> Tip | None:
        """Where the shard stands, while it is held."""
        return None if self._lease is None else self._lease.committed

    def start(self) -> None:
        self._task = asyncio.create_task(self._own())

    def deliver(self, records: Sequence[Record]) -> None:
        """Hand records to the lease; without one they are dropped, and fetched after the claim."""
        if self._lease is not None:
            self._lease.deliver(records)

    def fetch_again(self) -> None:
        """Go back to where the lease, if there is one, goes on."""
        if self._lease is not None:
            self._lease.fetch_again()

    async def stop(self) -> None:
        """End within a few seconds, whether or not the database answers."""
        self._stopping = True
        task, self._task = self._task, None
        if task is None:
            return
        if self._lease is not None:
            self._lease.stop()
            await asyncio.wait({task}, timeout=_STOP_S)
        await cancel({task})

    async def _own(self) -> None:
        while True:
            try:
                await self._hold()
            except (ShardHaltedError, PartitionsChangedError) as error:
                logger.error("shard_halted shard=%d code=%s: %s", self.shard, error.code, error)
                return
            except ClockRefusedError as error:
                logger.error("clock_refused shard=%d: %s", self.shard, error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # nobody asked for it: something that the lease waited for was cancelled
                logger.warning("lease_ended shard=%d: cancelled; claiming again", self.shard)
            except Exception as error:
                logger.warning("lease_ended shard=%d: %r; claiming again", self.shard, error)
                logger.debug("shard %d", self.shard, exc_info=error)
            if self._stopping:
                return
            await asyncio.sleep(_BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)])
            self._failures += 1

    async def _hold(self) -> None:
        log = await self._connect(self.shard)
        try:
            if self._has_claimed:
                # whoever is cut off from the group does not hear that the partition is another's,
                # and would take the shard from its owner again and again; the broker refuses this
                await self._membership.prove(await log.next_offset())
            self._has_claimed = True
            lease = await self._claim(log)
            if not self._stopping:
                await self._work(lease)
        except (ShardHaltedError, PartitionsChangedError) as error:
            await log.halt(f"{error.code}: {error}")
            raise
        finally:
            self._lease = None
            self._membership.pause()
            log.close()

    async def _work(self, lease: Lease) -> None:
        claimed = lease.committed
        logger.info(
            "shard_claimed shard=%d next_offset=%d position=%d",
            self.shard,
            claimed.offset,
            claimed.position,
        )
        self._membership.seek(claimed.offset)
        self._lease = lease
        self._membership.resume()
        try:
            await lease.run()
        finally:
            if lease.committed is not claimed:
                self._failures = 0
