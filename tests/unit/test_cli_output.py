"""What is printed can be read by people and programs, and steers nobody's terminal."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import cell, print_json, print_table, printable


@given(st.text())
def test_nothing_unprintable_is_left_but_line_ends(text):
    assert all(c.isprintable() or c == "\n" for c in printable(text))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (1_234_567, "1,234,567"),
        (datetime(2026, 5, 24, 10, tzinfo=UTC), "2026-05-24T10:00:00Z"),
        ("GH₵", "GH₵"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_cells_show_values_as_people_write_them(value, shown):
    assert cell(value) == shown


def test_json_is_one_line(capsys):
    print_json({"text": "two\nlines"})

    assert capsys.readouterr().out == '{"text":"two\\nlines"}\n'


def test_a_table_in_a_pipe_is_plain_and_whole(capsys):
    print_table(("name", "text"), [("a", "x" * 500), ("[bold]b[/bold]", "y")])

    lines = capsys.readouterr().out.splitlines()

    assert "\x1b" not in "".join(lines)
    assert "x" * 500 in lines[1]
    assert "[bold]b[/bold]" in lines[2]
