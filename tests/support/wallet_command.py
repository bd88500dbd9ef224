"""The `wallet` command as a user runs it: arguments and settings in, text and a status out.

`run` calls it in a thread of this process, which is quicker; `start` and `finish` run a process
of its own, for what has to do with streams and signals.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from cli.app import app
from engine.settings import Settings

TIMEOUT_S = 60
_SETTINGS = (
    "database_url",
    "kafka_bootstrap",
    "commands_topic",
    "events_topic",
    "dead_letters_topic",
    "group",
    "partitions",
    "session_timeout_ms",
)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        (document,) = self.documents
        return document


def environment(settings: Settings) -> dict[str, str]:
    """WALLET_* variables that say what the settings say."""
    told = {f"WALLET_{name.upper()}": str(getattr(settings, name)) for name in _SETTINGS}
    return told | {"WALLET_SECRET_KEYS": settings.secret_keys.get_secret_value()}


async def start(settings: Settings | None, *arguments: str, **streams: Any) -> Process:
    """Start a command; its three streams are pipes unless told otherwise."""
    pipes = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, **streams}
    told = environment(settings) if settings else {}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "cli.main",
        *arguments,
        env={**os.environ, **told},
        limit=2**24,
        **pipes,
    )


async def run(settings: Settings, *arguments: str) -> Done:
    """Run a command to its end."""
    runner = CliRunner(env=environment(settings))
    result = await asyncio.to_thread(runner.invoke, app, arguments, prog_name="wallet")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


async def finish(process: Process, stdin: bytes = b"") -> Done:
    """Wait for a command that was started, with nothing more to read after `stdin`."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate(stdin if process.stdin else None)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Done(process.returncode, (out or b"").decode(), (err or b"").decode())
