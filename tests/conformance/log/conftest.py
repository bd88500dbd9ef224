"""A database for each test: a real one, of a server that the suite has for itself, or a simulated one."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.stack.ports import keep_ports
from cli.stack.postgres import Postgres
from projections.install import install
from tests.conformance.log.databases import SHARDS, LogDatabase
from tests.conformance.log.network import Network
from tests.conformance.log.real import RealDatabase
from tests.conformance.log.simulated import SimulatedLogDatabase
from tests.support.databases import connection_to

_RESET = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend'
   AND pid <> pg_backend_pid();
ALTER TABLE log DISABLE TRIGGER log_is_append_only;
TRUNCATE log, due, dead_letters, forwards, snapshots, tiles, shards, topology, checkpoints,
         wallets_1, transactions_1, lots_1, postings_1;
ALTER TABLE log ENABLE TRIGGER log_is_append_only;
INSERT INTO shards (shard) SELECT generate_series(0, {SHARDS - 1});
INSERT INTO topology (commands_topic, events_topic, partitions)
VALUES ('commands', 'events', {SHARDS});
"""


@pytest_asyncio.fixture(scope="session")
async def server() -> AsyncIterator[Postgres]:
    """Its own, because tests kill it."""
    with tempfile.TemporaryDirectory(prefix="wallet-tests-") as name:
        directory = Path(name)
        postgres = Postgres(
            directory / "postgres",
            port=keep_ports(directory / "ports.json").postgres,
            log_path=directory / "postgres.log",
            run_dir=directory / "run",
        )
        await postgres.start()
        try:
            await install(postgres.database_url)
            yield postgres
        finally:
            await postgres.stop()


@pytest_asyncio.fixture
async def real_log(server: Postgres) -> AsyncIterator[RealDatabase]:
    async with connection_to(server.database_url) as connection:
        await connection.execute(_RESET)
    async with Network(server.database_url).running() as network:
        database = RealDatabase(server, network)
        try:
            yield database
        finally:
            database.close()


@pytest_asyncio.fixture
async def simulated_log() -> SimulatedLogDatabase:
    return SimulatedLogDatabase()


@pytest.fixture(params=["real", "simulated"])
def database(request: pytest.FixtureRequest) -> LogDatabase:
    found: LogDatabase = request.getfixturevalue(f"{request.param}_log")
    return found
