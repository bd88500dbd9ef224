"""The embedded Kafka and PostgreSQL: they serve, keep data, and never outlive their owner."""

import json
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from cli.stack import ManagedProcess, Stack
from cli.stack.errors import DataDirInUseError, StartError
from tests.support.databases import connection_to
from tests.support.polling import poll
from tests.support.topics import TopicNames, create_topics

# Runs a stack until it is killed, and says where it is and which processes belong to it.
OWNER = """
import asyncio, json, psutil, sys
from pathlib import Path
from cli.stack import Stack

async def main():
    stack = Stack(Path(sys.argv[1]))
    await stack.start()
    stack.spawn("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    pids = [child.pid for child in psutil.Process().children(recursive=True)]
    print(json.dumps([stack.kafka_bootstrap, stack.database_url, pids]), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def data_dir():
    with tempfile.TemporaryDirectory(prefix="wallet-stack-") as directory:
        yield Path(directory)


async def write(bootstrap, url, topic, text):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, text.encode(), partition=0)
    async with connection_to(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", text)


async def read(bootstrap, url, topic):
    async with connection_to(url) as connection:
        rows = await connection.fetch("SELECT text FROM kept")
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, 0)
        records = [(await consumer.getone()).value.decode() for _ in range(end)]
    return records, [row["text"] for row in rows]


async def test_each_test_has_an_empty_database_and_may_make_topics(
    kafka_bootstrap, database_url, topic_names
):
    await create_topics(kafka_bootstrap, topic_names)
    await write(kafka_bootstrap, database_url, topic_names.commands, "one")
    found = await read(kafka_bootstrap, database_url, topic_names.commands)
    assert found == (["one"], ["one"])


async def test_nothing_is_given_up_for_speed(database_url):
    async with connection_to(database_url) as connection:
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SHOW full_page_writes") == "on"


async def test_our_role_is_no_superuser_and_nobody_else_gets_in(database_url):
    async with connection_to(database_url) as connection:
        assert await connection.fetchval("SHOW is_superuser") == "off"
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="pg_hba"):
        await asyncpg.connect(database_url, user="postgres")


async def test_both_listen_on_this_machine_alone(stack):
    for process in (stack.kafka.process, stack.postgres.process):
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        # A JVM reports IPv4 addresses in their IPv6 form.
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


async def test_a_missing_topic_is_not_made_by_using_it(kafka_bootstrap):
    missing = TopicNames.unique().commands
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, request_timeout_ms=500
    ) as producer:
        with pytest.raises((UnknownTopicOrPartitionError, TimeoutError)):
            await producer.send_and_wait(missing, b"x", partition=0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    assert missing not in await admin.list_topics()
    await admin.close()


async def test_a_second_stack_on_the_same_data_is_refused(stack):
    with pytest.raises(DataDirInUseError, match="in use by process"):
        await Stack(stack.data_dir).start()
    assert stack.kafka.process.running
    assert stack.postgres.process.running


async def test_a_failed_start_names_the_log_and_leaves_nothing(data_dir):
    cluster = data_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9.6\n")
    stack = Stack(data_dir)
    with pytest.raises(StartError) as failed:
        await stack.start()
    assert str(data_dir / "logs" / "postgres.log") in str(failed.value)
    assert "could not access the server configuration file" in str(failed.value)
    assert not stack.kafka.process.running
    with pytest.raises(StartError):  # and not that the directory is in use
        await Stack(data_dir).start()


async def test_a_spawned_process_is_told_the_addresses(stack):
    names = ["WALLET_DATABASE_URL", "WALLET_KAFKA_BOOTSTRAP", "WALLET_X"]
    code = f"import os\nfor name in {names}: print(os.environ[name])"
    process = stack.spawn("teller", [sys.executable, "-c", code], {"WALLET_X": "own"})
    assert await process.wait() == 0
    told = process.log_tail().splitlines()
    assert told == [stack.database_url, stack.kafka_bootstrap, "own"]


async def test_each_server_comes_back_in_place_with_its_data(
    stack, kafka_bootstrap, database_url, topic_names
):
    await create_topics(kafka_bootstrap, topic_names)
    await write(kafka_bootstrap, database_url, topic_names.commands, "before")
    for server in (stack.kafka, stack.postgres):
        for end in (server.stop, server.kill):
            await end()
            assert not server.process.running
            await server.start()
    found = await read(kafka_bootstrap, database_url, topic_names.commands)
    assert found == (["before"], ["before"])


async def test_data_and_addresses_survive_a_clean_restart(data_dir):
    topic_names = TopicNames.unique()
    said = []
    stack = Stack(data_dir)
    await stack.start(said.append)
    addresses = (stack.kafka_bootstrap, stack.database_url)
    await create_topics(stack.kafka_bootstrap, topic_names)
    await write(*addresses, topic_names.commands, "kept")
    spawned = stack.spawn("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    await stack.stop()
    assert not spawned.running
    assert "starting Apache Kafka 4.3.1 and PostgreSQL" in said
    async with Stack(data_dir) as again:
        assert (again.kafka_bootstrap, again.database_url) == addresses
        assert await read(*addresses, topic_names.commands) == (["kept"], ["kept"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends them")
async def test_a_killed_owner_leaves_nothing_running_and_loses_nothing(data_dir, tmp_path):
    topic_names = TopicNames.unique()
    owner = ManagedProcess(
        "owner",
        (sys.executable, "-c", OWNER, data_dir),
        log_path=tmp_path / "owner.log",
        run_dir=tmp_path / "run",
    )
    owner.start()
    try:
        await poll(lambda: owner.log_tail().endswith("]]") or not owner.running)
        bootstrap, url, pids = json.loads(owner.log_tail())
        await create_topics(bootstrap, topic_names)
        await write(bootstrap, url, topic_names.commands, "kept")
    finally:
        await owner.kill()
    await poll(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
    async with Stack(data_dir) as again:
        assert again.kafka_bootstrap == bootstrap
        assert await read(bootstrap, url, topic_names.commands) == (["kept"], ["kept"])
