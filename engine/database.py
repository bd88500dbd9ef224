"""What goes wrong with PostgreSQL whatever is asked of it."""

from typing import Final

import asyncpg

DATABASE_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # a statement that the server dies under, now and then
    asyncpg.InternalClientError,
    OSError,
)
"""What asyncpg raises when the database does not answer, or refuses to."""
