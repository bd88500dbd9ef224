"""Lines of a command file are cut, numbered and checked one by one."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.command_lines import (
    LINE_BYTES_MAX,
    BadLine,
    CommandLine,
    LineSplitter,
    key_of,
    read_chunks,
    read_line,
)
from engine.topology import home
from schemas.commands import PAYLOAD_BYTES_MAX, Debit

DEBIT = b'{"type":"debit","wallet_id":"wal_a","reference":"r1","amount":5}'


def split(*chunks):
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return [*lines, *splitter.end()]


def test_blank_lines_are_left_out_and_counted():
    assert split(b"a\n\n  \t\r\nb\n") == [(1, b"a"), (4, b"b")]


def test_the_last_line_needs_no_end():
    assert split(b"a\nb") == [(1, b"a"), (2, b"b")]


@given(st.lists(st.binary(max_size=30)), st.data())
def test_lines_are_the_same_wherever_the_stream_is_cut(pieces, data):
    text = b"\n".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert split(*chunks) == split(text)


def test_of_a_line_that_never_ends_only_the_start_is_kept():
    chunks = [b"x" * 256 * 1024] * 20

    ((number, line),) = split(*chunks)

    assert number == 1
    assert len(line) == LINE_BYTES_MAX + 1
    assert isinstance(read_line(1, line, raw=True), BadLine)


def test_a_command_goes_to_its_wallets_home():
    line = read_line(7, DEBIT, raw=False)

    assert line == CommandLine(
        7, DEBIT, Debit(wallet_id="wal_a", reference="r1", amount=5), "wal_a"
    )
    assert line.partition(12) == home("wal_a", 12)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense", "malformed_json"),
        (b'{"type":"debit"}', "invalid_command"),
        (DEBIT.replace(b"5}", b"0}"), "invalid_command"),
        (DEBIT[:-1] + b',"note":"' + b"x" * PAYLOAD_BYTES_MAX + b'"}', "payload_too_large"),
        (b"\xff\xfe", "malformed_json"),
        (b"[" * 100_000, ""),
    ],
)
def test_a_line_that_is_no_command_is_refused_with_its_number_and_reason(data, reason):
    line = read_line(42, data, raw=False)

    assert isinstance(line, BadLine)
    assert line.number == 42
    assert line.reason.startswith(reason)


@pytest.mark.parametrize(
    ("data", "wallet_id"),
    [
        (b"nonsense", None),
        (b'{"type":"debit","wallet_id":"wal_b"}', "wal_b"),
        (b'{"wallet_id":7}', None),
        (b'{"wallet_id":""}', None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
    ],
)
def test_raw_lets_any_line_pass_with_the_wallet_it_names(data, wallet_id):
    line = read_line(1, data, raw=True)

    assert line == CommandLine(1, data, None, wallet_id)
    assert key_of(data) == wallet_id
    assert 0 <= line.partition(4) < 4
    assert line.partition(4) == read_line(2, data, raw=True).partition(4)


async def test_a_pipe_is_read_as_it_fills():
    reader, writer = os.pipe()
    try:
        chunks = read_chunks(reader)
        os.write(writer, b"first\n")
        assert await anext(chunks) == b"first\n"
        os.write(writer, b"second\n")
        os.close(writer)
        assert [chunk async for chunk in chunks] == [b"second\n"]
    finally:
        os.close(reader)


async def test_a_file_is_read_to_its_end(tmp_path):
    file = tmp_path / "commands.jsonl"
    file.write_bytes(DEBIT * 10_000)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        chunks = [chunk async for chunk in read_chunks(descriptor)]
    finally:
        os.close(descriptor)

    assert len(chunks) > 1
    assert b"".join(chunks) == DEBIT * 10_000
