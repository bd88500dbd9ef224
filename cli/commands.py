"""The group of all commands: what one of them raises becomes one line and an exit status."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from api.errors import ApiError
from cli.errors import CommandError
from cli.output import note
from engine.errors import EngineError
from engine.settings import InvalidSettingError
from projections.errors import ProjectionError

_BAD_SETTING_STATUS = 2

# Each package's root error: its text is made for the person at the terminal
_TOLD = (CommandError, EngineError, ProjectionError, ApiError, InvalidSettingError)


class Commands(TyperGroup):
    """All commands of `wallet`, those of sub-groups included."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error that is not of this project's trees is a defect and raised."""
        try:
            result = super().invoke(ctx)
            # a reader that has gone is noticed here, not while the interpreter ends
            sys.stdout.flush()
        except Exception as error:
            if not _is_told(error):
                raise
            note(f"wallet: {error}")
            raise typer.Exit(_exit_status(error)) from None
        return result


def _is_told(error: Exception) -> bool:
    # the embedded stack's packages are not installed everywhere, so it may not be imported here
    stack = sys.modules.get("cli.stack.errors")
    return isinstance(error, _TOLD) or (stack is not None and isinstance(error, stack.StackError))


def _exit_status(error: Exception) -> int:
    if isinstance(error, InvalidSettingError):
        return _BAD_SETTING_STATUS
    return error.exit_status if isinstance(error, CommandError) else 1
