"""Work in the foreground: done until it ends or a signal asks for its end."""

import asyncio
import signal
from collections.abc import Coroutine


async def until_signal(work: Coroutine[None, None, None]) -> bool:
    """Run until SIGINT or SIGTERM, which are a clean end; whether the work ended by itself."""
    task = asyncio.create_task(work)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if task.cancelled():
        return False
    task.result()
    return True
