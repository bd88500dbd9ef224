"""What a pass over a whole shard has to remember, on disk, so that its memory stays bounded.

A spool is one SQLite file: of its own and gone with the process, or at a path, where what was
committed is found again by the next process that opens it.

    with Spool(path) as spool:
        states = spool.map("states", Codec(encode_wallet, decode_wallet))
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from projections.errors import ProjectionError

_PAGE_CACHE_KIB: Final = 16 * 1024
_READ_ROWS: Final = 1_000

AT_HAND_WEIGHT_MAX = 20_000
"""Of each map."""

V = TypeVar("V")


class SpoolUnusableError(ProjectionError):
    """The file is in use, broken, or can't be written."""

    code = "spool_unusable"


class Codec(NamedTuple, Generic[V]):
    """How values become bytes and come back, and what one weighs in memory beside others."""

    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    weigh: Callable[[V], int] = lambda _: 1


class Spool:
    """Maps and tables by name, and notes; nothing of it counts before `commit`."""

    def __init__(self, path: Path | None = None, wait_s: float = 5.0) -> None:
        self._maps: list[SpooledMap[Any]] = []
        try:
            self._database = sqlite3.connect(
                "" if path is None else path, timeout=wait_s, isolation_level=None
            )
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB)"
            )
        except sqlite3.Error as error:
            raise SpoolUnusableError(
                f"{path or 'The temporary file'} can't be used ({error}): is another process at "
                "work with it? If not, delete it, and start from the beginning."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, name: str, codec: Codec[V], weight_max: int | None = None) -> "SpooledMap[V]":
        """A map from text; values that weigh `weight_max` together are kept at hand."""
        spooled = SpooledMap(self._database, name, codec, weight_max or AT_HAND_WEIGHT_MAX)
        self._maps.append(spooled)
        return spooled

    def rows(self, name: str) -> "SpooledRows":
        """A table of rows by text and number."""
        return SpooledRows(self._database, name)

    def note(self, name: str, value: bytes) -> None:
        """Remember one value."""
        self._database.execute("REPLACE INTO notes VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> bytes | None:
        """The value that was noted last."""
        row = self._database.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def commit(self) -> None:
        """From now on another process finds all that was put in up to here."""
        for spooled in self._maps:
            spooled.flush()
        self._database.execute("COMMIT")
        self._database.execute("BEGIN EXCLUSIVE")

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten."""
        self._database.close()


class SpooledMap(Generic[V]):
    """A map whose least recently used values are on disk.

    What is at hand is in two halves, what was used lately and what was used before. When the one
    is full the other goes, all at once, and the full one takes its place.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        name: str,
        codec: Codec[V],
        weight_max: int,
    ) -> None:
        self._database = database
        self._name = name
        self._encode, self._decode, self._weigh = codec
        self._half_max = weight_max // 2
        self._recent: dict[str, tuple[V | None, int]] = {}
        self._recent_weight = 0
        self._older: dict[str, tuple[V | None, int]] = {}
        self._changed: set[str] = set()
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
        )

    def get(self, key: str) -> V | None:
        """The value, or None."""
        kept = self._recent.get(key)
        if kept is None:
            kept = self._older.get(key) or self._read(key)
            self._keep(key, kept)
        return kept[0]

    def __setitem__(self, key: str, value: V) -> None:
        self._changed.add(key)
        self._keep(key, (value, self._weigh(value)))

    def items(self) -> Iterator[tuple[str, V]]:
        """All of them in the order of the keys' bytes; it may not be changed meanwhile."""
        self.flush()
        rows = self._database.execute(f"SELECT key, value FROM {self._name} ORDER BY key")
        rows.arraysize = _READ_ROWS
        while page := rows.fetchmany():
            for key, value in page:
                yield key, self._decode(value)

    def values(self) -> Iterator[V]:
        """As `items`."""
        return (value for _, value in self.items())

    def flush(self) -> None:
        """Write what has changed."""
        self._write(self._changed)

    @property
    def at_hand(self) -> int:
        """How many values are in memory."""
        return len(self._recent) + len(self._older)

    def _read(self, key: str) -> tuple[V | None, int]:
        row = self._database.execute(
            f"SELECT value FROM {self._name} WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None, 1
        value = self._decode(row[0])
        return value, self._weigh(value)

    def _keep(self, key: str, kept: tuple[V | None, int]) -> None:
        before = self._recent.get(key)
        if before is None:
            self._older.pop(key, None)
            self._recent_weight += kept[1]
        else:
            self._recent_weight += kept[1] - before[1]
        if self._recent_weight > self._half_max:
            self._recent.pop(key, None)
            self._let_go()
            self._recent_weight = kept[1]
        self._recent[key] = kept

    def _let_go(self) -> None:
        if self._recent:
            self._write(self._changed.intersection(self._older))
            self._older, self._recent = self._recent, {}

    def _write(self, keys: Collection[str]) -> None:
        written = [(key, (self._recent.get(key) or self._older[key])[0]) for key in keys]
        self._database.executemany(
            f"REPLACE INTO {self._name} VALUES (?, ?)",
            [(key, self._encode(value)) for key, value in written if value is not None],
        )
        self._changed.difference_update([key for key, _ in written])


class SpooledRows:
    """Rows by a text and a number, all on disk."""

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self._database = database
        self._name = name
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (text TEXT, number INTEGER, value BLOB,"
            " PRIMARY KEY (text, number)) WITHOUT ROWID"
        )

    def put(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """Add rows; the last of those with the same text and number stays."""
        self._database.executemany(f"REPLACE INTO {self._name} VALUES (?, ?, ?)", rows)

    def get(self, text: str, number: int) -> bytes | None:
        """The row's value, or None."""
        row = self._database.execute(
            f"SELECT value FROM {self._name} WHERE text = ? AND number = ?", (text, number)
        ).fetchone()
        return None if row is None else row[0]

    def numbers(self, text: str) -> tuple[int, ...]:
        """Of all rows of this text, in order."""
        rows = self._database.execute(
            f"SELECT number FROM {self._name} WHERE text = ? ORDER BY number", (text,)
        )
        return tuple(number for (number,) in rows)

    def values(self) -> Iterator[bytes]:
        """All of them in the order of the texts' bytes, then of the numbers."""
        rows = self._database.execute(f"SELECT value FROM {self._name} ORDER BY text, number")
        rows.arraysize = _READ_ROWS
        while page := rows.fetchmany():
            for (value,) in page:
                yield value

    def clear(self) -> None:
        """Take all of them out."""
        self._database.execute(f"DELETE FROM {self._name}")
