"""The command file that the demo sends: made anew for each run, for its credits expire in it."""

import asyncio
import sys
from pathlib import Path
from typing import Final

from cli.errors import DemoFailedError

EXPIRES_AFTER_S: Final = 8
"""When the first of the short-lived credits run out; the last do so half as long after."""

_EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_WALLETS_MAX: Final = 500
_COMMANDS_A_WALLET: Final = 8


async def write_usage(commands: int) -> Path:
    """Write examples/usage.jsonl of the checkout; gives its path."""
    generator, usage = _EXAMPLES / "generate.py", _EXAMPLES / "usage.jsonl"
    if not generator.exists():
        raise DemoFailedError(
            f"there is no {generator}, which writes the demo's commands: run `wallet demo` from a"
            " checkout of the project (pip install -e .)"
        )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        generator,
        *("--output", usage),
        *("--commands", str(commands)),
        *("--wallets", str(min(_WALLETS_MAX, commands // _COMMANDS_A_WALLET))),
        *("--soon", str(EXPIRES_AFTER_S)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise DemoFailedError(f"{generator} failed: {errors.decode(errors='replace').strip()}")
    return usage
