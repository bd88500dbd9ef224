"""What commands print: tables and sentences for people, JSON for programs.

Where standard output is no terminal there is no colour and nothing is wrapped or cut.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO

import msgspec
from rich import box
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from cli.errors import OutputLostError
from schemas.instants import to_text

_PIPE_COLUMNS = 1_000


def err() -> Console:
    """Standard error, for what moves: progress is never in the way of data."""
    return Console(stderr=True)


def bars(*columns: ProgressColumn) -> Progress:
    """Bars on standard error that are gone at the end, and are not there without a terminal."""
    console = err()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def say(message: str) -> None:
    """A line on standard output."""
    _write(printable(message) + "\n")


def note(message: str) -> None:
    """A line on standard error."""
    sys.stderr.write(printable(message) + "\n")


def print_json(value: object) -> None:
    """One JSON document on a line of its own."""
    print_raw(msgspec.json.encode(value))


def print_raw(document: bytes) -> None:
    """A JSON document that is encoded already, on a line of its own."""
    _write(document.decode() + "\n")


def flush() -> None:
    """Let what was printed be seen now, also by a pipe's reader.

    Raises OutputLostError, as everything does here that prints on standard output.
    """
    _write("", now=True)


def open_closed_streams() -> None:
    """Let whoever closed a standard stream do without what would go there, and with nothing else.

    Otherwise Python has none at all, and the next file or connection would take its place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    header: bool = True,
) -> None:
    """A table; the columns in `right` are aligned to the right, None is shown as a dash."""
    terminal = sys.stdout.isatty()
    text = StringIO()
    console = Console(
        file=text,
        force_terminal=terminal,
        width=None if terminal else _PIPE_COLUMNS,
        highlight=False,
    )
    table = Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        show_header=header,
        show_edge=False,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=not console.is_terminal,
        )
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    console.print(table)
    _write(text.getvalue())


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, int):
        return f"{value:,}"
    return printable(str(value))


def printable(text: str) -> str:
    """`text` with everything escaped that could steer a terminal; line ends stay."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _write(text: str, *, now: bool = False) -> None:
    try:
        sys.stdout.write(text)
        if now:
            sys.stdout.flush()
    except BrokenPipeError:  # a reader that has seen enough is no failure to tell of
        raise
    except OSError as error:
        # what is left in the buffer would fail once more while the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputLostError(
            f"standard output can't be written ({error.strerror}): what was printed is not whole"
        ) from None
