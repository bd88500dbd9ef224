"""What the simulated server says, as asyncpg would raise it, and what is wrong with a simulation.

SimulationDefectError (BaseException)   so that no `except Exception` of the engine hides it
└── UnknownQueryError                   the simulation was never taught this query
"""

from typing import Any

import asyncpg


class SimulationDefectError(BaseException):
    """The simulation itself is broken, or used in a way that it does not cover."""


class UnknownQueryError(SimulationDefectError):
    """A query that no part of the simulation stands for."""


class CommitWithoutReplyError(Exception):
    """Raised by `DatabaseTrouble.commit`: the connection is lost, and the commit is done later."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


def lost() -> asyncpg.PostgresError:
    """The connection is gone."""
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


def terminated(cause: asyncpg.PostgresError) -> asyncpg.PostgresError:
    """The connection is gone, and the server said why."""
    error = asyncpg.ConnectionDoesNotExistError(
        f"connection was closed in the middle of operation: {cause}"
    )
    error.__cause__ = cause
    return error


def serialization_failure() -> asyncpg.PostgresError:
    return server_error("40001", "could not serialize access due to concurrent update")


def deadlock() -> asyncpg.PostgresError:
    return server_error("40P01", "deadlock detected")


def lock_timeout() -> asyncpg.PostgresError:
    return server_error("55P03", "canceling statement due to lock timeout")


def transaction_timeout() -> asyncpg.PostgresError:
    return server_error("25P04", "terminating connection due to transaction timeout")


def query_canceled() -> asyncpg.PostgresError:
    return server_error("57014", "canceling statement due to user request")


def failed_transaction() -> asyncpg.PostgresError:
    return server_error(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )


def unique_violation(table: str, constraint: str, key: str) -> asyncpg.PostgresError:
    return server_error(
        "23505",
        f'duplicate key value violates unique constraint "{constraint}"',
        D=f"Key {key} already exists.",
        s="public",
        t=table,
        n=constraint,
    )


def nul_in_text() -> asyncpg.PostgresError:
    return server_error("22021", 'invalid byte sequence for encoding "UTF8": 0x00')


def changed_twice() -> asyncpg.PostgresError:
    return server_error("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")


def server_error(sqlstate: str, message: str, **fields: str) -> asyncpg.PostgresError:
    """The error that asyncpg makes of a server's message; `fields` by their protocol letters."""
    made: Any = asyncpg.PostgresError.new(
        {"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": message, **fields}
    )
    assert isinstance(made, asyncpg.PostgresError)
    return made
