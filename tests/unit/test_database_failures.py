"""A database that goes away is no defect, however the connection tells of it."""

import asyncpg
import pytest

from engine import process
from engine.errors import SetupError
from engine.settings import Settings
from projections.verification.worker import failure_of

FAILURES = [
    ConnectionResetError("reset by peer"),
    TimeoutError(),
    asyncpg.InterfaceError("connection is closed"),
    # a connection that breaks in the middle of its protocol
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    asyncpg.ConnectionDoesNotExistError("connection was closed"),
    # the server is shut down, or starts
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CrashShutdownError("terminating connection because of crash"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
]

anyhow = pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)


@anyhow
def test_verifying_ends_with_the_database_that_went_away(error: Exception) -> None:
    assert failure_of(error).kind == "database"


def test_verifying_owns_up_to_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure_of(KeyError("shard")).kind == "defect"
    assert "KeyError" in capsys.readouterr().err


@anyhow
def test_an_engine_that_finds_no_database_says_what_to_check(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_settings: Settings) -> int:
        raise error

    monkeypatch.setattr(process, "register_topology", away)
    with pytest.raises(SetupError, match="check WALLET_DATABASE_URL"):
        process.run(Settings())
