"""Groups of commands; what any of them raises becomes one line and an exit status."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from api.errors import ApiError
from audit.errors import AuditError
from cli.errors import CommandError
from cli.output import flush, note
from engine.errors import EngineError
from engine.settings import InvalidSettingError
from projections.errors import ProjectionError

_BAD_SETTING_STATUS = 2

# Each package's root error: its text is made for the person at the terminal
_TOLD = (CommandError, EngineError, ProjectionError, AuditError, ApiError, InvalidSettingError)


class Group(TyperGroup):
    """A group of commands whose help says of flags what is true."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of the group itself."""
        return _without_types_of_flags(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_types_of_flags(command.get_params(ctx))
        return command


class Commands(Group):
    """All commands of `wallet`, those of sub-groups included."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error that is not of this project's trees is a defect and raised."""
        try:
            result = super().invoke(ctx)
            # a reader that has gone is noticed here, not while the interpreter ends
            flush()
        except Exception as error:
            if not _is_told(error):
                raise
            note(f"wallet: {error}")
            raise typer.Exit(_exit_status(error)) from None
        return result


def _without_types_of_flags(options: list[Any]) -> list[Any]:
    # typer's help would say that they take a <bool>, and they take nothing
    for option in options:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return options


def _is_told(error: Exception) -> bool:
    # the embedded stack's packages are not installed everywhere, so it may not be imported here
    stack = sys.modules.get("cli.stack.errors")
    return isinstance(error, _TOLD) or (stack is not None and isinstance(error, stack.StackError))


def _exit_status(error: Exception) -> int:
    if isinstance(error, InvalidSettingError):
        return _BAD_SETTING_STATUS
    return error.exit_status if isinstance(error, CommandError) else 1
