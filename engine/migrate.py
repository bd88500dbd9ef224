"""Migrations: numbered SQL files, applied in order, once, forward only.

Applying a file never holds up who works with its tables for long: it waits for a lock, and others
behind it, for a moment only, and tries again later.

A file is named `<its package>/<file name>` in the table `migrations`, with the SHA-256 of its
bytes. Files that only the database knows are a newer release's and are left alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import asyncpg

from engine.errors import SetupError

MIGRATIONS = Path(__file__).with_name("migrations")
"""The write side's own."""

# Any number will do, as long as every release asks for the same lock.
_LOCK = 0x77616C6C6574

_LOCK_WAIT_MS_MAX: Final = 500
"""How long a file waits for a lock, and with it whoever comes after it for the same table."""

_PAUSE_S: Final = 1.0
_LOCKED_S_MAX: Final = 300.0

_log = logging.getLogger(__name__)

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
    name       text        COLLATE "C" PRIMARY KEY,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class EditedMigrationError(SetupError):
    """A file that has been applied has other bytes now."""

    code = "migration_edited"


class MigrationFailedError(SetupError):
    """The database refused a file's SQL; nothing of that file was applied."""

    code = "migration_failed"


class TableInUseError(SetupError):
    """Others had a lock that a file needs, for as long as it was tried; nothing of it was applied."""

    code = "table_in_use"


@dataclass(frozen=True)
class Migration:
    """One file."""

    name: str
    sql: str
    sha256: str


def read_migrations(directories: Sequence[Path]) -> list[Migration]:
    """The files of each directory by number, directory after directory."""
    return [
        _read(path) for directory in directories for path in sorted(directory.glob("[0-9]*.sql"))
    ]


def _read(path: Path) -> Migration:
    data = path.read_bytes()
    return Migration(
        name=f"{path.parent.parent.name}/{path.name}",
        sql=data.decode(),
        sha256=sha256(data).hexdigest(),
    )


async def migrate(database_url: str, directories: Sequence[Path] = (MIGRATIONS,)) -> list[str]:
    """Apply what is not applied yet, each file in a transaction of its own; gives their names.

    Safe from many processes at once: one works, the others wait for it. Raises
    EditedMigrationError before it applies anything, MigrationFailedError at the first bad file,
    TableInUseError at one that gets no lock for minutes.
    """
    connection = await asyncpg.connect(database_url)
    try:
        async with migrating(connection):
            return await apply_migrations(connection, directories)
    finally:
        await connection.close()


@asynccontextmanager
async def migrating(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Hold the lock that all migrating goes under; it ends with the connection at the latest."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def apply_migrations(
    connection: asyncpg.Connection, directories: Sequence[Path]
) -> list[str]:
    """As `migrate`, by a caller that is `migrating`."""
    await connection.execute(_CREATE_TABLE)
    applied: dict[str, str] = {
        row["name"]: row["sha256"]
        for row in await connection.fetch("SELECT name, sha256 FROM migrations")
    }
    pending = list(_pending(read_migrations(directories), applied))
    for migration in pending:
        await _apply(connection, migration)
    return [migration.name for migration in pending]


def _pending(migrations: Sequence[Migration], applied: dict[str, str]) -> Iterator[Migration]:
    for migration in migrations:
        known = applied.get(migration.name)
        if known is None:
            yield migration
        elif known != migration.sha256:
            raise EditedMigrationError(
                f"{migration.name} was changed after it had been applied to this database "
                f"(SHA-256 {known[:12]}… then, {migration.sha256[:12]}… now): put the old text "
                "back and make the change in a new file with the next number."
            )


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    deadline = time.monotonic() + _LOCKED_S_MAX
    while True:
        try:
            return await _try(connection, migration)
        except asyncpg.LockNotAvailableError as error:
            if time.monotonic() > deadline:
                raise TableInUseError(
                    f"{migration.name} was not applied, and nothing of it is left: for"
                    f" {_LOCKED_S_MAX:.0f} s others had a lock that it needs. End the long"
                    " transactions that pg_stat_activity shows, and migrate again."
                ) from error
            _log.info("%s waits for a lock that others have", migration.name)
        await asyncio.sleep(_PAUSE_S)


async def _try(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS_MAX}")
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO migrations (name, sha256) VALUES ($1, $2)",
                migration.name,
                migration.sha256,
            )
    except (asyncpg.PostgresConnectionError, asyncpg.LockNotAvailableError):
        raise
    except asyncpg.PostgresError as error:
        raise MigrationFailedError(
            f"{migration.name} was not applied, and nothing of it is left: {error}. "
            "Mend the cause and migrate again."
        ) from error
