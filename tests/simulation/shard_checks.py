"""What has to hold for one shard after each of its commits, looked at from outside."""

from bisect import bisect_left
from collections.abc import Container, Iterable, Sequence
from typing import Any, NoReturn

from schemas.instants import from_microseconds, to_microseconds
from tests.simulation.database.rows import ShardState, StoredRow
from tests.simulation.database.tables import ShardTables
from tests.simulation.logged import logged
from tests.simulation.merkle_edge import MerkleEdge
from tests.simulation.oracle import Expected, SentRecord, ShardOracle
from tests.simulation.replayed import ReplayedShard, WrongSumError
from tests.simulation.violation import Violation

_AHEAD_US = 1_000_000
_BEHIND_US = 5_000_000


class ShardChecks:
    """Follows one shard: each entry is looked at once, when it is committed."""

    def __init__(
        self,
        shard: int,
        *,
        partitions: int,
        lots_max: int,
        unstorable: Container[str],
        database: Any,
        broker: Any,
        unasked: frozenset[str] = frozenset(),
    ) -> None:
        self.shard = shard
        self.oracle = ShardOracle(shard, partitions, lots_max, unstorable)
        self.replayed = ReplayedShard(shard)
        self.entries = 0
        self.next_offset = 0
        self._records_seen = 0
        self._last_at = 0
        self._edge = MerkleEdge()
        self._database = database
        self._tables: ShardTables = database.tables[shard]
        self._broker = broker
        self._stands = (0, 0, 0)
        self._unasked = unasked

    def committed(self) -> None:
        """Look at what the last commit changed."""
        row: ShardState = self._database.shards[self.shard]
        if row.halted is not None:
            self._refuse("shard_halted", row.halted)
        stands = row.next_offset, row.position, row.published
        if stands == self._stands:
            return
        self._stands = stands
        self._check_lease(row)
        rows = self._tables.log[self.entries :]
        self._check_time(row, is_decided=bool(rows))
        entries = self._check_rows(row, rows)
        self._check_tree(row, rows)
        touched = self._check_decisions(row, entries)
        self._check_due(touched)
        for entry in entries:
            self._replay(entry)

    def _fail(self, kind: str, text: str) -> NoReturn:
        raise Violation(kind, f"shard {self.shard}: {text}")

    def _refuse(self, kind: str, text: str) -> None:
        """Fail, unless nobody asks for this kind."""
        if kind not in self._unasked:
            self._fail(kind, text)

    def _check_lease(self, row: ShardState) -> None:
        if row.appended_lease != row.lease:
            self._refuse(
                "appended_after_fencing",
                f"lease {row.appended_lease} appended, but {row.lease} holds the shard",
            )

    def _check_time(self, row: ShardState, *, is_decided: bool) -> None:
        last_at, passed_at = to_microseconds(row.last_at), to_microseconds(row.appended_at)
        if last_at < self._last_at:
            self._fail("time_goes_back", f"{row.last_at} comes after {_time(self._last_at)}")
        earliest, latest = passed_at - _BEHIND_US, passed_at + _AHEAD_US
        if is_decided and not earliest <= last_at <= latest:
            text = f"decided at {row.last_at}, appended at {row.appended_at}"
            self._fail("time_out_of_bounds", text)
        self._last_at = last_at

    def _check_rows(self, row: ShardState, rows: Sequence[StoredRow]) -> list[dict[str, Any]]:
        positions = [stored.position for stored in rows]
        wanted = list(range(self.entries, row.position))
        if positions != wanted:
            self._fail("positions", f"{positions} were added where {wanted} belong")
        self.entries = row.position
        return [self._check_columns(stored) for stored in rows]

    def _check_columns(self, row: StoredRow) -> dict[str, Any]:
        entry = logged(row.data)
        told = (
            entry["shard"],
            entry["position"],
            entry["wallet_id"],
            entry["version"],
            bytes.fromhex(entry["command_id"]),
            entry["event"]["type"],
            entry["occurred_at"],
        )
        columns = (
            self.shard,
            row.position,
            row.wallet_id,
            row.version,
            row.command_id,
            row.type,
            to_microseconds(row.occurred_at),
        )
        if told != columns or entry["occurred_at"] != self._last_at:
            self._fail("columns", f"position {row.position} says {told} in columns of {columns}")
        return entry

    def _check_tree(self, row: ShardState, rows: Iterable[StoredRow]) -> None:
        for stored in rows:
            self._edge.add(stored.data)
        if row.tree != self._edge.to_bytes():
            self._fail("merkle_root", f"the tree of {row.position} entries is another one")

    def _check_decisions(self, row: ShardState, entries: list[dict[str, Any]]) -> set[str]:
        """Hold the new entries against the oracle; the wallets that they are of."""
        if row.next_offset < self.next_offset:
            self._fail("offset_goes_back", f"{self.next_offset} became {row.next_offset}")
        waiting = _Waiting(entries)
        for record in self._records_until(row.next_offset):
            self._check_timers(waiting)
            self._check_record(record, waiting)
        self._check_timers(waiting)
        if waiting.entries:
            self._fail("unasked_entry", f"nobody asked for {waiting.entries[0]}")
        self.next_offset = row.next_offset
        return {entry["wallet_id"] for entry in entries}

    def _records_until(self, offset: int) -> list[SentRecord]:
        topic = self._broker.topics["wallet.commands"][self.shard].records
        end = self._records_seen
        while end < len(topic) and topic[end].offset < offset:
            end += 1
        records = list(topic[self._records_seen : end])
        self._records_seen = end
        return records

    def _check_timers(self, waiting: "_Waiting") -> None:
        while waiting.entries and waiting.entries[0]["offset"] is None:
            entry = waiting.entries[0]
            wallet_id, now = entry["wallet_id"], entry["occurred_at"]
            expected = (
                self.oracle.timer(wallet_id, now) if wallet_id in self.oracle.wallets else []
            )
            self._compare(f"a timer of {wallet_id}", expected, waiting.take(max(1, len(expected))))

    def _check_record(self, record: SentRecord, waiting: "_Waiting") -> None:
        found = waiting.take_of(record.offset)
        now = found[0]["occurred_at"] if found else None
        expected = self.oracle.record(record, now)
        if expected.fate == "entries" and not found:
            self._fail("no_outcome", f"the command at offset {record.offset} has left nothing")
        self._compare(f"offset {record.offset} ({expected.fate})", expected.entries, found)
        letter = self._tables.dead_letters.get(record.offset)
        if (letter is not None) != (expected.fate == "dead_letter"):
            self._fail("dead_letter", f"offset {record.offset}: {letter} where {expected}")
        if letter is not None:
            self._check_letter(letter, record, expected)
        forward = self._tables.forwards.get(record.offset)
        if (forward is not None) != (expected.fate == "forwarded"):
            self._fail("forward", f"offset {record.offset}: {forward} where {expected}")
        if forward is not None:
            self._check_forward(forward, record, expected)

    def _compare(
        self, what: str, expected: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]
    ) -> None:
        if len(expected) != len(found):
            self._fail("outcome", f"{what} has to leave {expected} and left {list(found)}")
        for wanted, entry in zip(expected, found, strict=True):
            told = {name: entry[name] for name in wanted}
            if told != wanted:
                self._fail("outcome", f"{what}: {_difference(wanted, told)}")

    def _check_letter(self, letter: Any, record: Any, expected: Expected) -> None:
        kept = letter.key, letter.payload
        if letter.reason not in expected.reasons or kept != (record.key, record.value):
            self._fail("dead_letter", f"offset {record.offset}: {letter} where {expected}")

    def _check_forward(self, forward: Any, record: Any, expected: Expected) -> None:
        topic = self._broker.topics["wallet.commands"][expected.home].records
        arrived = [sent for sent in topic if sent.offset == forward.home_offset]
        origin = ("wallet-forwarded-from", b"%d:%d" % (self.shard, record.offset))
        if (
            forward.home != expected.home
            or not arrived
            or arrived[0].value != record.value
            or origin not in arrived[0].headers
        ):
            self._fail("forward", f"{forward} was stored, and {arrived} is there")

    def _check_due(self, wallet_ids: Iterable[str]) -> None:
        due = self._tables.due
        for wallet_id in wallet_ids:
            wallet = self.oracle.wallets.get(wallet_id)
            for lot in wallet.filled_lots() if wallet else ():
                at = from_microseconds(lot.expires_at) if lot.expires_at < 2**63 else None
                if at is not None and not _holds(due, (at, wallet_id)):
                    self._fail("due", f"lot {lot} of {wallet_id} has no row that says when")

    def _replay(self, entry: dict[str, Any]) -> None:
        try:
            self.replayed.apply(entry)
        except WrongSumError as error:
            self._fail("balance", str(error))


class _Waiting:
    """New entries that nothing has accounted for yet, in order."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.entries = entries[:]

    def take(self, count: int) -> list[dict[str, Any]]:
        taken, self.entries = self.entries[:count], self.entries[count:]
        return taken

    def take_of(self, offset: int) -> list[dict[str, Any]]:
        count = 0
        while count < len(self.entries) and self.entries[count]["offset"] == offset:
            count += 1
        return self.take(count)


def _holds(rows: Sequence[Any], row: Any) -> bool:
    """Whether a sorted table has a row."""
    place = bisect_left(rows, row)
    return place < len(rows) and rows[place] == row


def _time(microseconds: int) -> str:
    return str(from_microseconds(microseconds))


def _difference(wanted: dict[str, Any], told: dict[str, Any]) -> str:
    pairs = [
        *((name, wanted[name], told[name]) for name in wanted if name != "event"),
        *(
            (f"event.{name}", wanted["event"].get(name), told["event"].get(name))
            for name in wanted["event"] | told["event"]
        ),
    ]
    unlike = [
        f"{name} is {found!r}, not {right!r}" for name, right, found in pairs if right != found
    ]
    return f"{told['wallet_id']}: " + "; ".join(unlike)
