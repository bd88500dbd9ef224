"""Connections to the database, with what the projections rely on set in the session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from projections.errors import DatabaseRefusedError

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TransactionTimeoutError,
    # of the moment, whatever the statement: a deadlock, a lock that was not free in time
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
)
"""The database can't be reached, or does not answer now: trying again later may help."""

_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


@asynccontextmanager
async def connected(
    database_url: str, name: str, *, timeout_ms: int | None, waits_for_disk: bool = True
) -> AsyncIterator[asyncpg.Connection]:
    """A connection named `name` to the server, closed at the end.

    No transaction and no statement takes longer than `timeout_ms`, so that a process that is
    stopped in the middle of one does not hold its locks. If it does not wait for the disk, a crash of
    the server may take back its last commits, each of them whole. Raises one of AWAY, or
    DatabaseRefusedError where trying again would not help.
    """
    timeout_s = None if timeout_ms is None else timeout_ms / 1000
    try:
        connection = await asyncpg.connect(
            database_url,
            timeout=timeout_s or 60,
            command_timeout=timeout_s,
            server_settings={
                "application_name": name,
                "default_transaction_isolation": "read committed",
                "synchronous_commit": "on" if waits_for_disk else "off",
                "transaction_timeout": str(timeout_ms or 0),
                # what is planned for an empty table does not do for a full one
                "plan_cache_mode": "force_custom_plan",
                "jit": "off",
            },
        )
    except _REFUSED as error:
        raise DatabaseRefusedError(
            f"The database refuses the connection ({error}); mend WALLET_DATABASE_URL."
        ) from error
    try:
        yield connection
    except BaseException:
        # not close(): it waits for an answer that may never come
        connection.terminate()
        raise
    else:
        await connection.close(timeout=timeout_s)
