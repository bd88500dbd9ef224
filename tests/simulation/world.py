"""A run: the engines and projectors of a plan in one world, and everything that goes wrong there.

    report = World(Plan.draw(7)).run()

From the batch handler inwards it is the code that users run; what is below it is simulated.
"""

import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, Final, Protocol
from unittest.mock import patch
from uuid import UUID

from msgspec import Struct

from engine import decider
from tests.simulation.broker import SimulatedBroker
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.database.errors import SimulationDefectError
from tests.simulation.database.server import SimulatedDatabase
from tests.simulation.loop import DeadlockError, Process, VirtualLoop, current_process
from tests.simulation.plan import START, Fault, Plan
from tests.simulation.processes import COMMANDS_TOPIC, TOPICS, engine, guest, projector
from tests.simulation.trouble import Trouble
from tests.simulation.violation import Violation

STOPPED_WITHIN_S: Final = 20.0
"""An engine that is told to stop needs no longer, whatever is away."""
DRAINED_WITHIN_S: Final = 120.0
"""Once nothing goes wrong any more, everything is decided, published and shown this soon."""
_POLL_S: Final = 0.2


class Checking(Protocol):
    """What holds a run to its promises."""

    def drained(self) -> str | None:
        """What is still to come; None if nothing is."""

    def final(self) -> None:
        """Raise Violation for what does not fit once everything has come."""


class Noting(Protocol):
    """Takes a run down."""

    def note(self, at_us: int, who: str, what: str) -> None: ...


class Report(Struct, kw_only=True):
    """What happened in a run that kept its promises."""

    seed: int
    commands: int
    entries: int
    faults: dict[str, int]
    virtual_s: float
    callbacks: int


class World:
    """Runs one plan, once."""

    def __init__(
        self,
        plan: Plan,
        trace: Noting | None = None,
        make_checks: Callable[[Plan, SimulatedDatabase, SimulatedBroker], Checking] | None = None,
    ) -> None:
        self.plan = plan
        self.trace = trace
        self.faults: Counter[str] = Counter()
        self._sources = 0
        self._now = 0.0, START
        self.loop = VirtualLoop(self._source(), plan.rates.shuffled)  # type: ignore[abstract]
        self.trouble = Trouble(self.loop, plan.rates, self._source(), self.faults, plan.refused)
        self.database = SimulatedDatabase(self.now, self.trouble, shards=plan.partitions)
        self.broker = SimulatedBroker(
            self.loop, self._now_ms, list(TOPICS), plan.partitions, self._source(), self.trouble
        )
        self.checks = (make_checks or _everything)(plan, self.database, self.broker)
        self._leases = self._source()
        self._rest_s = self._source().choice((0.2, 0.6, 1.2))
        self._processes: dict[str, Process] = {}
        self._incarnations: Counter[str] = Counter()
        self._connections: dict[Process, list[Any]] = {}
        self._quiet = False
        for listeners in (self.database.commit_listeners, self.broker.record_listeners):
            listeners[:] = [self._guarded(listener) for listener in listeners]

    def _source(self) -> Random:
        self._sources += 1
        return Random(f"{self.plan.seed}:{self._sources}")

    def _guarded(self, listener: Callable[..., None]) -> Callable[..., None]:
        def listen(*arguments: Any) -> None:
            try:
                listener(*arguments)
            except Violation as violation:
                # the code that is running would take it for an error of its own
                self.loop.fail(violation)
                raise

        return listen

    def now(self) -> datetime:
        if self._now[0] != self.loop.now:
            self._now = self.loop.now, START + timedelta(seconds=self.loop.now)
        return self._now[1]

    def _now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def note(self, who: str, what: str) -> None:
        if self.trace is not None:
            self.trace.note(int(self.loop.time() * 1_000_000), who, what)

    def run(self) -> Report:
        """Raises Violation if a promise is broken, or SimulationDefectError."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            with self._installed():
                try:
                    self.loop.run_until_complete(self._run())
                except DeadlockError as deadlock:
                    raise Violation("deadlock", str(deadlock)) from deadlock
                finally:
                    # what is let go of now has nothing more to tell
                    self.trace = None
                    logging.disable(logging.CRITICAL)
                    self.loop.close()
        finally:
            if collecting:
                gc.enable()
        return Report(
            seed=self.plan.seed,
            commands=len(self.plan.commands),
            entries=sum(map(len, self.database.log.values())),
            faults=dict(self.faults),
            virtual_s=self.loop.time(),
            callbacks=self.loop.callbacks,
        )

    @contextmanager
    def _installed(self) -> Iterator[None]:
        """Everything that the code under test would take from outside."""
        clock = SimpleNamespace(monotonic=self.loop.time, perf_counter=self.loop.time)
        disabled = logging.root.manager.disable
        with (
            patch("asyncpg.connect", self._connect),
            patch("engine.inspection.AIOKafkaConsumer", self._consumer),
            patch("engine.producing.AIOKafkaProducer", self._producer),
            patch("engine.log.uuid4", self._uuid4),
            patch("engine.inspection.time", clock),
            patch("projections.follower.time", clock),
            # rounds that are fewer and larger are as true, and most of a run's statements are theirs
            patch("projections.follower._REST_S", self._rest_s),
            patch.object(decider, "LOTS_MAX", self.plan.lots_max),
            patch.object(SimulationDefectError, "__init__", _telling(self.loop)),
        ):
            if self.trace is None:
                logging.disable(logging.CRITICAL)
            try:
                yield
            finally:
                logging.disable(disabled)

    def _uuid4(self) -> UUID:
        return UUID(int=self._leases.getrandbits(128), version=4)

    async def _connect(self, *arguments: Any, **options: Any) -> Any:
        connection = await self.database.connect(*arguments, **options)
        process = current_process()
        if process is not None:
            opened = self._connections.setdefault(process, [])
            if len(opened) > 50:
                opened[:] = [each for each in opened if not each.is_closed()]
            opened.append(connection)
        return connection

    def _consumer(self, *topics: str, **options: Any) -> SimulatedConsumer:
        return SimulatedConsumer(self.broker, *topics, **options)

    def _producer(self, **options: Any) -> SimulatedProducer:
        return SimulatedProducer(self.broker, **options)

    # the course of a run

    async def _run(self) -> None:
        for number in range(self.plan.workers):
            self._start(f"engine-{number}")
        for number in range(self.plan.projectors):
            self._start(f"projector-{number}")
        for planned in self.plan.commands:
            self.loop.call_at(planned.at_ms / 1000, self._send, planned)
        for fault in self.plan.faults:
            self.loop.call_at(fault.at_ms / 1000, self._befall, fault)
        await _until(self.loop, self.plan.quiet_at_ms / 1000)
        self._calm_down()
        deadline = self.loop.time() + DRAINED_WITHIN_S
        while (missing := self.checks.drained()) is not None:
            if self.loop.time() > deadline:
                raise Violation("not_drained", missing)
            await _until(self.loop, self.loop.time() + _POLL_S)
        self.checks.final()

    def _send(self, planned: Any) -> None:
        offset = self.broker.append(
            COMMANDS_TOPIC,
            planned.partition,
            key=planned.key,
            value=planned.value,
            headers=tuple(planned.headers),
        )
        if self.trace is not None:
            self.note("upstream", f"sends {planned.partition}:{offset} {planned.value!r}")
        if self.trouble.marked():
            self.broker.mark(COMMANDS_TOPIC, planned.partition)

    def _calm_down(self) -> None:
        self._quiet = True
        self.note("world", "nothing goes wrong any more")
        self.trouble.clear()
        self.database.is_down = False
        for name, process in list(self._processes.items()):
            process.alarm_step = -1
            process.skew_s = 0.0
            if process.paused:
                process.resume()
            if name.startswith("guest"):
                process.kill()
            elif process.dead:
                self._start(name)

    def _start(self, name: str) -> None:
        before = self._processes.get(name)
        if before is not None and not before.dead:
            return
        self._incarnations[name] += 1
        process = Process(name, self.loop)
        process.on_death = lambda: self._died(process)
        self._processes[name] = process
        self.note(name, "starts")
        kind, _, _ = name.partition("-")
        if kind == "engine":
            process.run(engine(self, process, f"{name}.{self._incarnations[name]}"))
        elif kind == "projector":
            process.run(projector())
        else:
            process.run(guest(self, process))

    def _died(self, process: Process) -> None:
        self.note(process.name, "dies")
        for connection in self._connections.pop(process, ()):
            connection.sever()

    def clock_of(self, process: Process) -> Callable[[], datetime]:
        """The clock of the process's machine."""
        return lambda: START + timedelta(seconds=self.loop.time() + process.skew_s)

    # what goes wrong

    def _befall(self, fault: Fault) -> None:
        if self._quiet:
            return
        self.faults[fault.kind] += 1
        self.note(
            "world", f"{fault.kind} {fault.target} for {fault.length_ms} ms ({fault.size:g})"
        )
        getattr(self, f"_{fault.kind}")(fault, fault.length_ms / 1000)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Unless it has become quiet by then: nobody is away then any more, nor comes again."""
        self.loop.call_later(seconds, lambda: None if self._quiet else call())

    def _end(self, name: str, fault: Fault, length_s: float) -> None:
        process = self._processes[name]
        if not process.dead:
            self._replace_once_dead(process, length_s)
            process.before_step(1 + int(fault.size), process.kill)

    def _replace_once_dead(self, process: Process, length_s: float) -> None:
        died = process.on_death

        def die() -> None:
            died()
            away_s = 0.0 if self._quiet else length_s
            self.loop.call_later(away_s, self._start, process.name)

        process.on_death = die

    def _hold(self, name: str, fault: Fault, length_s: float) -> None:
        process = self._processes[name]

        def pause() -> None:
            process.pause()
            self._later(length_s, process.resume)

        if not process.dead:
            process.before_step(1 + int(fault.size), pause)

    def _crash(self, fault: Fault, length_s: float) -> None:
        self._end(f"engine-{fault.target}", fault, length_s)

    def _stop(self, fault: Fault, length_s: float) -> None:
        process = self._processes[f"engine-{fault.target}"]
        if process.dead or process.leaving.is_set():
            return
        self._replace_once_dead(process, length_s)
        process.leave()
        self.loop.call_later(STOPPED_WITHIN_S, self._expect_stopped, process, process.pauses)

    def _expect_stopped(self, process: Process, pauses: int) -> None:
        if not process.dead and process.pauses == pauses:
            self.loop.fail(
                Violation("not_stopped", f"{process.name} goes on although it was told")
            )

    def _pause(self, fault: Fault, length_s: float) -> None:
        self._hold(f"engine-{fault.target}", fault, length_s)

    def _projector_crash(self, fault: Fault, length_s: float) -> None:
        self._end(f"projector-{fault.target % self.plan.projectors}", fault, length_s)

    def _projector_pause(self, fault: Fault, length_s: float) -> None:
        self._hold(f"projector-{fault.target % self.plan.projectors}", fault, length_s)

    def _rebalance(self, fault: Fault, length_s: float) -> None:
        name = f"guest-{self.faults['rebalance']}"
        self._start(name)
        self._later(length_s, self._processes[name].leave)

    def _clock(self, fault: Fault, length_s: float) -> None:
        process = self._processes[f"engine-{fault.target}"]
        process.skew_s = fault.size

        def mend() -> None:
            process.skew_s = 0.0

        self._later(length_s, mend)

    def _disk_slow(self, fault: Fault, length_s: float) -> None:
        self.trouble.disk_slow_until = self.loop.time() + length_s
        self.trouble.disk_slow_s = fault.size

    def _connection_lost(self, fault: Fault, _: float) -> None:
        self.trouble.of(f"engine-{fault.target}").appends.append(int(fault.size))

    def _append_repeated(self, fault: Fault, length_s: float) -> None:
        self.trouble.of(f"engine-{fault.target}").repeats.append(length_s)

    def _serialization(self, fault: Fault, _: float) -> None:
        self.trouble.of(f"engine-{fault.target}").statements.append(int(fault.size))

    def _database_crash(self, fault: Fault, length_s: float) -> None:
        self.database.is_down = True
        self.database.crash()

        def back() -> None:
            self.database.is_down = False

        self._later(length_s, back)

    def _broker_down(self, fault: Fault, length_s: float) -> None:
        weather = self.trouble.of(f"engine-{fault.target}")
        weather.away_until = self.loop.time() + length_s

    def _offsets_lost(self, *_: Any) -> None:
        self.broker.lose_offsets()

    def _produce_refused(self, fault: Fault, _: float) -> None:
        self.trouble.of(f"engine-{fault.target}").publications.append(int(fault.size))

    def _fetch_lost(self, fault: Fault, _: float) -> None:
        self.trouble.of(f"engine-{fault.target}").fetches.append(("lost", 0.0))

    def _fetch_repeated(self, fault: Fault, _: float) -> None:
        self.trouble.of(f"engine-{fault.target}").fetches.append(("repeated", 0.0))

    def _fetch_delayed(self, fault: Fault, length_s: float) -> None:
        self.trouble.of(f"engine-{fault.target}").fetches.append(("delayed", length_s))


async def _until(loop: VirtualLoop, moment: float) -> None:
    reached = loop.create_future()
    loop.call_at(moment, reached.set_result, None)
    await reached


def _telling(loop: VirtualLoop) -> Callable[[SimulationDefectError, str], None]:
    """Ends the run as soon as one is made: the task that raises it may be one that nobody asks."""

    def tell(defect: SimulationDefectError, text: str) -> None:
        BaseException.__init__(defect, text)
        loop.fail(defect)

    return tell


def _everything(plan: Plan, database: SimulatedDatabase, broker: SimulatedBroker) -> Checking:
    from tests.simulation.checks import Checks  # noqa: PLC0415 it is made for what is in here

    checks: Checking = Checks(plan, database, broker)
    return checks
