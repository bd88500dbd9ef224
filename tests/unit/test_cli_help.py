"""Every command's help teaches, and fits a terminal."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.app import app

TERMINAL_COLUMNS = 80
CONTRACT = {
    "dev",
    "migrate",
    "engine",
    "projector",
    "api",
    "send",
    "show",
    "transactions",
    "log",
    "rebuild",
    "dead-letters",
    "status",
}


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield (*path, name)
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = sorted(leaves(typer.main.get_command(app)))


def command_at(path: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return command


def help_of(*path: str) -> str:
    result = CliRunner().invoke(app, [*path, "--help"], terminal_width=TERMINAL_COLUMNS)
    assert result.exit_code == 0, result.output
    return result.output


def test_all_commands_are_there():
    assert {path[0] for path in COMMANDS} >= CONTRACT
    assert {path[1] for path in COMMANDS if path[0] == "dead-letters" and path[1:]} == {
        "list",
        "show",
        "retry",
        "discard",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_an_example_of_this_command(path):
    examples = help_of(*path).partition("For example:")[2].partition("╭")[0]

    assert f"wallet {' '.join(path)}" in examples


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_not_broken_by_the_terminals_edge(path):
    shown = [line.strip() for line in help_of(*path).splitlines()]

    for line in command_at(path).help.splitlines()[1:]:
        assert line.strip() in shown, line


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_explains_every_option(path):
    unexplained = [option.name for option in command_at(path).params if not option.help]

    assert unexplained == []


@pytest.mark.parametrize("path", [(), ("keys",), *COMMANDS], ids=" ".join)
def test_help_shows_no_type_beside_a_flag(path):
    shown = help_of(*path)

    assert "--help" in shown
    assert "bool" not in shown.casefold()


def test_without_a_command_the_help_is_shown():
    result = CliRunner().invoke(app, [])

    assert "wallet dev" in result.output
