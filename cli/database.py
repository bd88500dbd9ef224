"""A command's connection to PostgreSQL, and plain words for what goes wrong with it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import asyncpg

from cli.errors import DatabaseUnreachableError, NotMigratedError
from engine.settings import InvalidSettingError, Settings

_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the block; errors as `reaching_database`."""
    with reaching_database(settings):
        connection = await _connect(settings)
        try:
            yield connection
        finally:
            connection.terminate()


@contextmanager
def reaching_database(settings: Settings) -> Iterator[None]:
    """Nothing of asyncpg's errors about reaching the database leaves the block.

    Raises DatabaseUnreachableError, also for a connection that is lost in the middle, and
    NotMigratedError.
    """
    address = database_address(settings)
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise InvalidSettingError(f"WALLET_DATABASE_URL: {error}") from None
    except asyncpg.UndefinedTableError as error:
        raise NotMigratedError(
            f"the database at {address} lacks tables ({error}): run `wallet migrate`"
        ) from error
    except BrokenPipeError:  # of the terminal or pipe that is printed to
        raise
    except _UNREACHABLE as error:
        raise _unreachable(address, error) from error


async def _connect(settings: Settings) -> asyncpg.Connection:
    return await asyncpg.connect(
        settings.database_url,
        timeout=settings.database_timeout_ms / 1000,
        server_settings={"application_name": "wallet-cli", "jit": "off"},
    )


def _unreachable(address: str, error: BaseException) -> DatabaseUnreachableError:
    reason = str(error)
    if isinstance(error, TimeoutError):
        reason = "no answer in time"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return DatabaseUnreachableError(
        f"can't reach PostgreSQL at {address} ({reason}): is it up (`wallet dev` starts one), and"
        " is WALLET_DATABASE_URL right?"
    )


def database_address(settings: Settings) -> str:
    """Host, port and database, without the password."""
    parts = urlsplit(settings.database_url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise InvalidSettingError(
            "WALLET_DATABASE_URL: it has to begin with postgresql://, as in"
            " postgresql://user:password@host:5432/database"
        )
    hosts = parts.netloc.rpartition("@")[2]
    for host in hosts.split(","):
        _check_port(host)
    return f"{hosts}{parts.path}"


def _check_port(host: str) -> None:
    _, colon, port = host.rpartition(":")
    if colon and not port.isdecimal() and not host.endswith("]"):
        # it may be a piece of the password, so it isn't shown
        raise InvalidSettingError(
            "WALLET_DATABASE_URL: what stands for the port is no number (in a password, / ? # and"
            " @ have to be written as %2F %3F %23 %40)"
        )
