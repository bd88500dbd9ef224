"""How a report of its own is run: options, stack, results, and errors in one line."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from bench.errors import BenchError
from bench.machine import describe_versions, durable_settings
from bench.progress import Progress
from bench.results import write_json
from bench.session import Bench
from bench.sizes import FULL
from cli.errors import CommandError
from cli.stack import StackError

EXIT_INTERRUPTED = 130
_TOLD = (
    *(BenchError, StackError, CommandError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, OSError),
)


def run_report(
    report: Callable[[Bench, argparse.Namespace], Awaitable[object]],
    parser: argparse.ArgumentParser,
) -> int:
    """Run a report on a stack of its own, with the options of all of them; the exit status."""
    parser.add_argument("--scale", type=float, default=1.0, help="of the workload, to try it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found")
    options = parser.parse_args()
    return run_until_signal(_report(report, options))


async def _report(
    report: Callable[[Bench, argparse.Namespace], Awaitable[object]], options: argparse.Namespace
) -> int:
    if options.scale != 1:
        print(f"SCALE {options.scale:g}: of no use but to try it")
    say = Progress((), runs=0, scale=1).say
    async with Bench.started(FULL.scaled(options.scale), say) as bench:
        versions = await describe_versions(bench.stack)
        settings = await durable_settings(bench.stack)
        results = await report(bench, options)
    if options.json:
        write_json(options.json, options, results, versions=versions, settings=settings)
    return 0


def run_until_signal(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end, or until SIGINT or SIGTERM: what was started is stopped. The exit status."""
    # it tells of topics that are new
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # processes are to run as they do by default, whatever this shell has set
    for name in [name for name in os.environ if name.startswith("WALLET_")]:
        del os.environ[name]
    try:
        return asyncio.run(_until_terminated(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nbench: interrupted; everything that was started is stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except _TOLD as error:
        print(f"bench: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


async def _until_terminated(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
