"""Any restore point and any published suffix: the same bytes, and the same outcomes."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from engine.batch import Deciding, Tip
from engine.decider import evolve
from engine.intake import Received
from engine.rollforward.suffix import Suffix
from engine.wallet import Wallet
from schemas import digests
from schemas.commands import AnyCommand
from schemas.entries import Entry, decode_entry, encode_entry
from schemas.events import CommandRejected
from tests.support.history import HistoryBuilder
from tests.support.published import (
    TOPIC,
    EventRecord,
    as_record,
    boundaries,
    restored_row,
    root_over,
)
from tests.support.random_history import STEPS, Step, take_step


class Recorded(HistoryBuilder):
    """A history that remembers the commands it was made from, by their offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[AnyCommand] = []

    def send(self, command: AnyCommand, *, credit_limit: int = 0) -> "Recorded":
        self.commands.append(command)
        super().send(command, credit_limit=0)
        return self


class Case(Struct):
    """A history, the position it was restored to, how much was published, and in which order."""

    history: Recorded
    restored: int
    published: int
    order: list[int]
    scanned_from: int
    page: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    history = Recorded()
    for wallet in range(3):
        take_step(history, Step("create", wallet, metadata=wallet))
    for step in draw(STEPS):
        take_step(history, step)
    ends = boundaries(history)
    restored = draw(st.sampled_from(ends))
    published = draw(st.sampled_from([end for end in ends if end >= restored]))
    order = draw(publications(published))
    first = next((n for n, position in enumerate(order) if position >= restored), len(order))
    return Case(
        history,
        restored,
        published,
        order,
        scanned_from=draw(st.integers(0, first)),
        page=draw(st.integers(1, 20)),
    )


@st.composite
def publications(draw: st.DrawFn, published: int) -> list[int]:
    """At least once: each publisher goes on from somewhere that was reached, and a late one of
    before lands what it held at any time after it was first sent."""
    order: list[int] = []
    reached = 0
    while reached < published:
        start = draw(st.integers(0, reached))
        stop = draw(st.integers(start, published))
        order += range(start, stop)
        reached = max(reached, stop)
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, published))
        block = range(start, draw(st.integers(start, published)))
        place = draw(st.integers(0, len(order)))
        order[place:place] = block
    return order


def topic_of(case: Case) -> list[EventRecord]:
    entries = case.history.entries
    return [as_record(entries[position], n) for n, position in enumerate(case.order)]


def rolled_forward(case: Case) -> tuple[Suffix, list[bytes]]:
    """What the suffix comes to, and the bytes that it took."""
    suffix = Suffix(TOPIC, restored_row(case.history, case.restored))
    records = topic_of(case)
    taken: list[bytes] = []
    for start in range(case.scanned_from, len(records), case.page):
        page = records[start : start + case.page]
        before = suffix.position
        suffix.extend(suffix.sort(page))
        by_position = {decode_entry(r.value or b"").position: r.value or b"" for r in page}
        taken += [by_position[position] for position in range(before, suffix.position)]
    suffix.finish()
    return suffix, taken


@given(cases())
def test_the_log_is_the_published_one_byte_for_byte(case: Case) -> None:
    suffix, taken = rolled_forward(case)
    entries = case.history.entries
    assert suffix.position == case.published
    assert taken == [encode_entry(entry) for entry in entries[case.restored : case.published]]
    assert suffix.frontier.root() == root_over(entries[: case.published]).root()


@given(cases(), st.integers(0, 100))
def test_published_outcomes_stay_and_every_other_command_gets_one(case: Case, later: int) -> None:
    suffix, taken = rolled_forward(case)
    log = case.history.entries[: case.restored] + [decode_entry(data) for data in taken]
    again = decide_again(suffix, log, case.history.commands, later)
    by_id: dict[str, list[Entry]] = {}
    for entry in (*log, *again):
        by_id.setdefault(entry.command_id, []).append(entry)
    assert all(len(entries) == 1 for entries in by_id.values())
    assert [entry.position for entry in (*log, *again)] == list(range(len(log) + len(again)))
    for offset, command in enumerate(case.history.commands):
        (outcome,) = outcomes_of(command, by_id)
        if offset < suffix.row.next_offset or outcome.position < case.published:
            assert outcome == case.history.entries[outcome.position]
        else:
            assert outcome in again


def outcomes_of(command: AnyCommand, by_id: dict[str, list[Entry]]) -> list[Entry]:
    """As receipts look: under the command's id with its body, else under the conflict's."""
    identity = digests.command_id(command.wallet_id, command.reference)
    body = digests.body_digest(command)
    direct = by_id.get(identity.hex(), [])
    if direct and direct[0].body_digest == body.hex():
        return direct
    return by_id.get(digests.conflict_id(identity, body).hex(), [])


def decide_again(
    suffix: Suffix, log: Sequence[Entry], commands: Sequence[AnyCommand], later: int
) -> list[Entry]:
    """What an engine appends that takes the commands up from the restored offset."""
    row = suffix.row
    states: dict[str, Wallet | None] = {command.wallet_id: None for command in commands}
    for entry in log:
        if not isinstance(entry.event, CommandRejected):
            states[entry.wallet_id] = evolve(states[entry.wallet_id], entry.event)
    last_at = row.last_at if suffix.last is None else suffix.last.occurred_at
    tip = Tip(row.next_offset, None, suffix.position, suffix.frontier, last_at)
    deciding = Deciding(
        row.shard,
        tip,
        last_at + timedelta(seconds=later),
        states=states,
        recorded={
            bytes.fromhex(entry.command_id): bytes.fromhex(entry.body_digest or "")
            for entry in log
        },
        in_flight={},
        snapshot_every=200,
        failures_max=1,
    )
    for offset in range(row.next_offset, len(commands)):
        command = commands[offset]
        identity = digests.command_id(command.wallet_id, command.reference)
        body = digests.body_digest(command)
        deciding.command(Received(offset, command, identity, body, None, b""))
    batch = deciding.finish(len(commands), None)
    return [decode_entry(data) for data in batch.append.data]
