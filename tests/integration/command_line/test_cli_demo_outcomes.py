"""The demo's own count of outcomes, and how it finds that the log says something else."""

from collections import Counter

import pytest

from cli.command_lines import CommandLine, read_line
from cli.demo.outcomes import ACCEPTED, DEAD_LETTER, REJECTED, REPEATED, Kind, Outcomes
from cli.demo.watch import Watch
from cli.errors import DemoFailedError
from cli.sending import SentLine, sending
from tests.support.history import HistoryBuilder
from tests.support.payloads import create, debit, topup
from tests.support.proven import Proven

W = "wal_a1"
LINES = [
    *(create(W), topup(W, "t1", 100), topup(W, "t1", 100), topup(W, "t1", 101)),
    *(debit(W, "d1", 40), debit(W, "d2", 400), debit(W, "d2", 400), b"not JSON", b"{}"),
]
EXPECTED = {
    Kind(ACCEPTED, "wallet_created"): 1,
    Kind(ACCEPTED, "topped_up"): 1,
    Kind(ACCEPTED, "debited"): 1,
    Kind(REJECTED, "reference_conflict"): 1,
    Kind(REJECTED, "insufficient_funds"): 1,
    Kind(REPEATED, "the first outcome again"): 2,
    Kind(DEAD_LETTER, "malformed_json"): 1,
    Kind(DEAD_LETTER, "invalid_command"): 1,
}


@pytest.fixture
async def sent(running, connection) -> list[SentLine]:
    """What an engine has decided."""
    async with sending(running) as stream:
        for number, data in enumerate(LINES, 1):
            line = read_line(number, data, raw=True)
            assert isinstance(line, CommandLine)
            await stream.add(line)
        await stream.drain()
        sent = stream.take_acknowledged()
    watch = Watch(connection, lambda: None)
    await watch.until_decided(Counter(line.partition for line in sent), lambda _: None)
    return sent


async def test_every_line_is_counted_once_and_the_log_agrees(sent, connection, capsys):
    outcomes = Outcomes()
    await outcomes.resolve(connection, sent)
    assert outcomes.counts == EXPECTED
    await outcomes.compare_with_log(connection)
    outcomes.show()
    assert "reference_conflict" in capsys.readouterr().out


async def test_a_line_without_an_outcome_is_named(sent, connection):
    (last,) = [line for line in sent if line.line.number == len(LINES)]
    late = SentLine(last.line, last.partition, last.offset + 1)
    with pytest.raises(DemoFailedError, match=f"line {len(LINES)} .* has no outcome"):
        await Outcomes().resolve(connection, [late])


async def test_an_outcome_of_another_record_is_found(sent, connection):
    """Seen from the record of where it was sent, the debit is now a repeat of nothing."""
    debited = next(line for line in sent if line.line.data == debit(W, "d1", 40))
    position = await connection.fetchval("SELECT position FROM log WHERE type = 'debited'")
    proven = Proven(connection, HistoryBuilder(debited.partition))
    await proven.edit_entry(position, offset=10_000)
    outcomes = Outcomes()
    await outcomes.resolve(connection, sent)
    with pytest.raises(DemoFailedError, match="accepted debited: 1 in the log, 0 of what was"):
        await outcomes.compare_with_log(connection)


async def test_a_record_with_two_outcomes_is_found(sent, connection):
    outcomes = Outcomes()
    await outcomes.resolve(connection, sent)
    row = await connection.fetchrow("SELECT * FROM log WHERE type = 'debited'")
    await connection.execute(
        "INSERT INTO log VALUES ($1, 99, 'wal_x', 1, $2, 'debited', now(), $3)",
        *(row["shard"], b"another", row["data"]),
    )
    with pytest.raises(DemoFailedError, match="two outcomes that are debited"):
        await outcomes.compare_with_log(connection)


async def test_a_dead_letter_too_many_is_found(sent, connection):
    outcomes = Outcomes()
    await outcomes.resolve(connection, sent)
    await connection.execute(
        """
        INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at)
        VALUES (0, 99, 'malformed_json', '', now())
        """
    )
    with pytest.raises(DemoFailedError, match="malformed_json: 2 in the log, 1 of what was sent"):
        await outcomes.compare_with_log(connection)
