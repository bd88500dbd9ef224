"""A lease on a shard: everything that one claim owns, from the queue to the cache.

While batch n is being appended, n+1 is decoded, looked up and decided; one append at most is
under way. Whatever fails ends the lease, and with it all state that might be stale; the next
claim reads the row and begins anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from traceback import clear_frames
from typing import Final, Protocol

from engine.backlog import Backlog
from engine.batch import Batch, Deciding, Tip, may_have_been_refused
from engine.cache import WalletCache
from engine.errors import AlreadyRecordedError, DataRefusedError, RepeatsUnknownError
from engine.foresight import COMMANDS_MAX, Foresight
from engine.intake import (
    Received,
    Record,
    Stray,
    record_digest,
)
from engine.keeper import Keeper
from engine.log import ForwardRow, ShardLog, ShardRow
from engine.observation import Stage, untimed
from engine.placement import Placement
from engine.publisher import Publisher
from engine.settings import Settings
from engine.wallet import Wallet

logger = logging.getLogger(__name__)

DUE_WALLETS_MAX: Final = 200
_DUE_POLL_S: Final = 0.5
_IDLE_S: Final = 0.2
_FINISH_S: Final = 3.0


class Flow(Protocol):
    """The lease's hold on its partition of the commands topic."""

    def seek(self, offset: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def ends(self) -> tuple[int, int]: ...


class StraySender(Protocol):
    """Sends commands to their home partitions."""

    async def forward(self, strays: Sequence[Stray]) -> list[int]: ...

    async def close(self) -> None: ...


class Lease:
    """Decides one shard until it is stopped, or something fails."""

    def __init__(
        self,
        row: ShardRow,
        log: ShardLog,
        flow: Flow,
        publisher: Publisher,
        forwarder: StraySender,
        *,
        partitions: int,
        settings: Settings,
        clock: Callable[[], datetime],
        on_commit: Callable[[int, Batch], None],
        timed: Callable[[Stage], AbstractContextManager[None]] = untimed,
    ) -> None:
        self.shard = row.shard
        self.committed = Tip(
            row.next_offset, row.last_record, row.position, row.frontier, row.last_at
        )
        self._log = log
        self._flow = flow
        self._publisher = publisher
        self._forwarder = forwarder
        self._settings = settings
        self._clock = clock
        self._on_commit = on_commit
        self._timed = timed
        self._keeper = Keeper(log, row.position)
        self._placement = Placement(row.shard, row.next_offset)
        self._cache = WalletCache(settings.cached_wallets_max)
        self._backlog = Backlog(
            row.shard,
            partitions,
            settings.queue_commands_max,
            on_full=flow.pause,
            on_room=self._fetch_more,
        )
        self._wake = asyncio.Event()
        self._stopping = False
        self._idle = False
        self._due = False
        self._due_done = asyncio.Event()
        self._judging: asyncio.Task[None] | None = None
        self._tip = self.committed
        self._decided: Batch | None = None
        self._appending: asyncio.Task[None] | None = None
        self._appending_records: Sequence[Record] = ()
        self._failures_in_row = 0
        self._batch_max = settings.batch_commands_max
        self._foresight = Foresight()
        self._appending_unlooked = False
        self._due_max = DUE_WALLETS_MAX
        self._unexpirable: set[str] = set()
        self._fenced_published = row.published

    def deliver(self, records: Sequence[Record]) -> None:
        """Queue records of the partition as they were fetched; never blocks."""
        verdict = self._placement.place(records[0].offset, records[-1].offset)
        if verdict == "accept":
            self._backlog.put(records)
            self._wake.set()
        elif verdict == "seek_back":
            self._flow.seek(self._placement.expected)
        elif self._judging is None:
            self._flow.pause()
            self._judging = asyncio.create_task(self._judge())

    def fetch_again(self) -> None:
        """Have fetched anew what was fetched and has not been delivered."""
        self._flow.seek(self._placement.expected)

    async def _judge(self) -> None:
        try:
            await self._placement.judge(self._flow.ends)
            self._judging = None
            self._flow.seek(self._placement.expected)
            if not self._backlog.was_full:
                self._flow.resume()
        finally:
            self._wake.set()

    def _fetch_more(self) -> None:
        if self._judging is None:
            self._flow.resume()

    def stop(self) -> None:
        """Ask for an end: what is being appended is finished, what is queued is left."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped. Raises what ended the lease otherwise."""
        try:
            await self._run()
        except BaseException as error:
            # they hold what was being decided, until a collector finds them; the next lease needs room
            clear_frames(error.__traceback__)
            raise
        finally:
            self._forget()

    def _forget(self) -> None:
        self._backlog.clear()
        self._appending = self._judging = self._decided = None
        self._appending_records = ()

    async def _run(self) -> None:
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._work(),
                self._publisher.run(),
                self._keeper.run(),
                self._watch_due(),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            leftovers = [*tasks, self._judging, self._appending]
            ending = [task for task in leftovers if task is not None]
            for task in ending:
                task.cancel()
            ended, lingering = await asyncio.wait(ending, timeout=_FINISH_S)
            for task in ended:
                if not task.cancelled():
                    task.exception()  # the first one is raised already, the others follow from it
            if lingering:
                # whatever they still do is the dead lease's, and fenced
                logger.error("lease_lingers shard=%d: %r", self.shard, lingering)
            await self._forwarder.close()

    async def _work(self) -> None:
        try:
            while (work := await self._next_work()) is not None:
                await work()
        finally:
            if self._appending is not None:
                await asyncio.wait({self._appending}, timeout=_FINISH_S)
        await self._finish()

    async def _next_work(self) -> Callable[[], Awaitable[None]] | None:
        while not self._stopping:
            await self._raise_failures()
            if self._publisher.unpublished < self._settings.unpublished_entries_max:
                if self._due:
                    return self._decide_due
                if self._backlog and not self._gathers():
                    return self._decide_records
            if self._idle and self._fenced_published < self._publisher.published:
                return self._fence_published
            try:
                # not wait_for: up to Python 3.11 it can swallow a cancellation
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
                self._idle = False
            except TimeoutError:
                self._idle = True
            self._wake.clear()
        return None

    def _gathers(self) -> bool:
        """Whether more records may come before a batch could be appended anyway."""
        return self._appending is not None and self._backlog.has_at_most(COMMANDS_MAX)

    async def _raise_failures(self) -> None:
        if self._judging is not None and self._judging.done():
            self._judging.result()
        if self._appending is not None and self._appending.done():
            await self._settle()

    async def _finish(self) -> None:
        """Leave the shard so that the next owner has nothing to make up for."""
        if not await self._settle():
            return
        try:
            async with asyncio.timeout(_FINISH_S):
                while self._publisher.unpublished:
                    await self._publisher.wait_until_below(self._publisher.unpublished)
                await self._keeper.flush()
                if self._fenced_published < self._publisher.published:
                    await self._fence_published()
                    await self._settle()
        except TimeoutError:
            logger.info("shard %d is left with unpublished entries", self.shard)

    def _now(self) -> datetime:
        return max(self._clock(), self._tip.last_at)

    async def _decide_records(self) -> None:
        with self._timed("decode"):
            records, intake = self._backlog.take(self._batch_max)
        home_offsets = await self._forwarder.forward(intake.strays) if intake.strays else []
        in_flight = {} if self._decided is None else self._decided.outcomes
        unlooked = self._foresight.expects_no_repeat(len(intake.commands))
        recorded = {} if unlooked else await self._repeats(intake.commands, in_flight)
        states = await self._states(received.command.wallet_id for received in intake.commands)
        recorded |= await self._recorded(
            [
                received.conflict_id
                for received in intake.commands
                if may_have_been_refused(
                    received,
                    states[received.command.wallet_id],
                    in_flight.get(received.command_id) or recorded.get(received.command_id),
                )
            ]
        )
        deciding = self._deciding(states, recorded, in_flight, repeats_known=not unlooked)
        try:
            with self._timed("decide"):
                ended_early_at = deciding.commands(intake.commands)
        except RepeatsUnknownError:
            self._foresight.erred()
            self._backlog.put_back(records)
            return
        end = records[-1].offset
        if ended_early_at is not None:
            end = ended_early_at
            self._backlog.put_back([record for record in records if record.offset > end])
            records = [record for record in records if record.offset <= end]
        for letter in intake.dead_letters:
            if letter.offset <= end:
                deciding.dead_letter(letter)
        with self._timed("hash"):
            batch = deciding.finish(end + 1, record_digest(records[-1]))
        batch.append.forwards = [
            ForwardRow(offset=stray.offset, home=stray.home, home_offset=home_offset)
            for stray, home_offset in zip(intake.strays, home_offsets, strict=True)
            if stray.offset <= end
        ]
        await self._hand_over(batch, records, unlooked=unlooked)

    async def _repeats(
        self, commands: Sequence[Received], in_flight: Mapping[bytes, bytes]
    ) -> dict[bytes, bytes]:
        recorded = await self._recorded_meanwhile_ahead(
            [received.command_id for received in commands if received.command_id not in in_flight]
        )
        self._foresight.looked(len(recorded))
        return recorded

    async def _recorded_meanwhile_ahead(self, ids: list[bytes]) -> dict[bytes, bytes]:
        """What the log has of these ids; the next batch is taken in while the database looks."""
        recorded, _ = await asyncio.gather(self._recorded(ids), self._take_ahead())
        return recorded

    async def _take_ahead(self) -> None:
        with self._timed("decode"):
            self._backlog.take_ahead(self._batch_max)

    async def _recorded(self, ids: list[bytes]) -> dict[bytes, bytes]:
        return await self._log.find_outcomes(ids) if ids else {}

    async def _decide_due(self) -> None:
        self._due = False
        # one reading of the clock: it may be set back before the other, and nothing expires then
        now = self._now()
        due = await self._log.read_due(now, self._due_max)
        states = await self._states(wallet_id for _, wallet_id in due)
        deciding = self._deciding(states, {}, {}, now=now)
        expired = set()
        for wallet_id in states:
            if deciding.is_full:
                break
            if wallet_id not in self._unexpirable:
                deciding.wallet_due(wallet_id)
            expired.add(wallet_id)
        batch = deciding.finish(self._tip.offset, self._tip.last_record)
        batch.append.due_removed = [row for row in due if row[1] in expired]
        if await self._hand_over(batch, ()) and await self._settle():
            self._due_done.set()
        else:
            self._due = True

    async def _fence_published(self) -> None:
        deciding = self._deciding({}, {}, {})
        await self._hand_over(deciding.finish(self._tip.offset, self._tip.last_record), ())

    async def _states(self, wallet_ids: Iterable[str]) -> dict[str, Wallet | None]:
        """Every wallet as the last decided batch left it, in the order in which they are named.

        The batch under way comes before the cache, and the cache before what is loaded: a look-up
        may have been answered before that batch was committed.
        """
        undecided = {} if self._decided is None else self._decided.wallets
        states: dict[str, Wallet | None] = {}
        missing: list[str] = []
        for wallet_id in dict.fromkeys(wallet_ids):
            wallet = undecided.get(wallet_id) or self._cache.get(wallet_id)
            states[wallet_id] = wallet
            if wallet is None:
                missing.append(wallet_id)
        if missing:
            for wallet_id, loaded in (await self._log.load_wallets(missing)).items():
                states[wallet_id] = loaded.wallet
        return states

    def _deciding(
        self,
        states: dict[str, Wallet | None],
        recorded: dict[bytes, bytes],
        in_flight: dict[bytes, bytes],
        *,
        now: datetime | None = None,
        repeats_known: bool = True,
    ) -> Deciding:
        return Deciding(
            self.shard,
            self._tip,
            self._now() if now is None else now,
            states=states,
            recorded=recorded,
            in_flight=in_flight,
            repeats_known=repeats_known,
            snapshot_every=self._settings.snapshot_every_versions,
            failures_in_row=self._failures_in_row,
            failures_max=self._settings.decider_failures_max,
        )

    async def _hand_over(
        self, batch: Batch, records: Sequence[Record], *, unlooked: bool = False
    ) -> bool:
        """Append the batch as soon as the one before it is in; False if that one was refused."""
        if not await self._settle(decided_on_it=records):
            return False
        self._failures_in_row = batch.failures_in_row
        self._tip = batch.tip
        self._decided = batch
        self._appending_records = records
        self._appending_unlooked = unlooked
        self._appending = asyncio.create_task(self._append(batch))
        return True

    async def _append(self, batch: Batch) -> None:
        try:
            batch.append.published = self._publisher.published
            asked_at = self._clock()
            await self._log.append(batch.append)
        finally:
            self._wake.set()
        self.committed = batch.tip
        # whoever waits for the outcome comes first
        self._on_commit(self.shard, batch)
        self._cache.keep(batch.wallets)
        self._publisher.publish(batch, proven_at=asked_at)
        self._keeper.note(batch)
        self._fenced_published = batch.append.published

    async def _settle(self, decided_on_it: Sequence[Record] = ()) -> bool:
        """Wait for the append under way.

        False if the database refused its data: then what was decided on it is queued again too.
        """
        appending, self._appending = self._appending, None
        if appending is None:
            return True
        try:
            await appending
        except DataRefusedError as error:
            self._backlog.put_back(decided_on_it)
            if self._appending_unlooked and isinstance(error, AlreadyRecordedError):
                self._decide_again()
            else:
                self._halve(error)
            return False
        self._backlog.done(self._appending_records)
        self._appending_records = ()
        self._batch_max = min(self._batch_max * 2, self._settings.batch_commands_max)
        self._due_max = min(self._due_max * 2, DUE_WALLETS_MAX)
        return True

    def _decide_again(self) -> None:
        """The batch under way held a repeat: the log is asked first this time."""
        self._foresight.erred()
        self._go_back()
        self._backlog.put_back(self._appending_records)

    def _go_back(self) -> None:
        self._tip = self.committed
        self._decided = None

    def _halve(self, error: DataRefusedError) -> None:
        records = self._appending_records
        due = [] if self._decided is None else self._decided.append.due_removed
        if not records and not due:
            raise error
        self._go_back()
        if due:
            self._halve_due(due, error)
            return
        self._backlog.put_back(records)
        if len(records) == 1:
            logger.error(
                "refused_by_database shard=%d offset=%d: the command is a dead letter: %s",
                self.shard,
                records[0].offset,
                error,
            )
            self._backlog.refuse(records[0].offset, str(error))
        self._batch_max = max(1, len(records) // 2)

    def _halve_due(self, due: Sequence[tuple[datetime, str]], error: DataRefusedError) -> None:
        self._due_max = max(1, len(due) // 2)
        if len(due) == 1:
            wallet_id = due[0][1]
            logger.error(
                "refused_by_database shard=%d wallet=%s: its lots that have run out stay worth"
                " nothing, but no entry says so: %s",
                self.shard,
                wallet_id,
                error,
            )
            self._unexpirable.add(wallet_id)

    async def _watch_due(self) -> None:
        while True:
            at = await self._log.next_due()
            seconds = _DUE_POLL_S
            if at is not None:
                seconds = min(seconds, (at - self._now()).total_seconds())
            if seconds > 0:
                await asyncio.sleep(seconds)
                continue
            self._due_done.clear()
            self._due = True
            self._wake.set()
            await self._due_done.wait()
