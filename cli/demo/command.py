"""The command itself: a data directory that nobody needs afterwards, and the steps in it."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.demo.steps import DemoRun
from cli.errors import DemoFailedError
from cli.foreground import until_signal
from engine.settings import load_settings

COMMANDS: Final = 21_000

KeepOption = Annotated[
    bool, typer.Option("--keep", help="Leave everything running until Ctrl-C, to try more.")
]
CommandsOption = Annotated[
    int, typer.Option("--commands", min=10_000, metavar="N", help="How many commands to send.")
]


def demo(keep: KeepOption = False, commands: CommandsOption = COMMANDS) -> None:
    """Show all of it at work: start everything, send commands, crash, recover, prove.

    Starts Kafka, PostgreSQL, two engines, the projector and the API, sends
    the commands of an upstream billing service, kills one engine with SIGKILL in
    the middle, and starts another. Then it prints what became of the commands and
    proves it: each has one outcome, no money is lost or made, the log is what its
    Merkle roots say. Nothing is left behind, and the exit status is 1 if anything
    is off.

    For example:
      wallet demo
      wallet demo --keep
    """
    load_settings()
    with tempfile.TemporaryDirectory(prefix="wallet-demo-") as directory:
        run = DemoRun(Path(directory), commands, keep=keep)
        asyncio.run(until_signal(run.run()))
    if not run.finished:
        raise DemoFailedError("the demo was stopped before its end: nothing is proven")
    if not run.passed:
        raise typer.Exit(1)
