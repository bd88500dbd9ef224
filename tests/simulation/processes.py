"""The processes of a simulated world: an engine, a projector, and a guest in the engines' group."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from engine.assignment import Assignment
from engine.settings import Settings
from projections.process import keep_up
from tests.simulation.clients import SimulatedConsumer
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

logger = logging.getLogger(__name__)

COMMANDS_TOPIC: Final = "wallet.commands"
EVENTS_TOPIC: Final = "wallet.events"
DEAD_LETTERS_TOPIC: Final = "wallet.dead-letters"
TOPICS: Final = (COMMANDS_TOPIC, EVENTS_TOPIC, DEAD_LETTERS_TOPIC)
GROUP: Final = "wallet-engine"
_GUEST_SESSION_MS: Final = 3_000
_LEAVE_S: Final = 3.0


async def engine(world: "World", process: Process, name: str) -> None:
    """What engine.consumer makes of FastStream and aiokafka, on a simulated client."""
    settings = Settings.model_construct(None, **world.plan.settings)
    consumer = SimulatedConsumer(
        world.broker,
        group_id=settings.group,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 5,
    )
    assignment = Assignment(
        settings, world.plan.partitions, name, world.clock_of(process), lambda: consumer
    )
    consumer.subscribe([settings.commands_topic], assignment)
    background = [asyncio.create_task(work) for work in assignment.background()]
    await consumer.start()
    pumping = asyncio.create_task(_pump(world, assignment, consumer))
    told = asyncio.create_task(process.leaving.wait())
    await asyncio.wait({pumping, told, *background}, return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        raise AssertionError("a task of the engine that never ends has ended")
    # as CommandConsumer does when it is told to stop
    assignment.refuse_more()
    await assignment.give_up()
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    pumping.cancel()
    try:
        async with asyncio.timeout(_LEAVE_S):
            await consumer.stop()
            await assignment.close()
    except TimeoutError:
        world.note(process.name, "has not left the group")
    process.end()


async def _pump(world: "World", assignment: Assignment, consumer: SimulatedConsumer) -> None:
    """FastStream's loop around the handler."""
    while True:
        if records := await assignment.fetch(consumer):
            await _hand_over(world, assignment, records)


async def _hand_over(world: "World", assignment: Assignment, records: Sequence[Any]) -> None:
    fate = world.trouble.delivery()
    if fate is not None:
        what, seconds = fate
        world.note("delivery", f"{what} from {records[0].partition}:{records[0].offset}")
        if what == "lost":
            return
        if what == "repeated":
            await assignment.deliver(records)
        await asyncio.sleep(seconds)
    try:
        await assignment.deliver(records)
    except Exception:
        # as FastStream does with AckPolicy.MANUAL
        logger.exception("the handler failed")


async def projector() -> None:
    """`wallet projector`."""
    await keep_up(Settings.model_construct(), asyncio.Event())


async def guest(world: "World", process: Process) -> None:
    """A member that takes partitions and does nothing with them until it leaves."""
    consumer = SimulatedConsumer(
        world.broker,
        COMMANDS_TOPIC,
        group_id=GROUP,
        session_timeout_ms=_GUEST_SESSION_MS,
        heartbeat_interval_ms=_GUEST_SESSION_MS // 5,
    )
    await consumer.start()
    await process.leaving.wait()
    await consumer.stop()
