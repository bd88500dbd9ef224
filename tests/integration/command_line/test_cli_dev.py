"""`wallet dev`: the whole service in one process tree, which starts, ends and comes back whole."""

import asyncio
import json
import signal
import socket

import asyncpg
import httpx
import psutil
import pytest

from engine.settings import Settings
from schemas.ids import Owner
from tests.support.polling import poll
from tests.support.query_api import create_credentials
from tests.support.wallet_command import finish, run, start

START_TIMEOUT_S = 90
OPENED = {
    "type": "create_wallet",
    "wallet_id": "wal_a",
    "reference": "open",
    "merchant_id": "mch_1",
    "environment": "live",
    "customer_id": "cus_1",
    "currency": "GHS",
}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    return str(number)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """One for all, since the first start on it takes the longest."""
    return tmp_path_factory.mktemp("dev")


@pytest.fixture
async def dev(data_dir):
    """Starts `wallet dev`; what is still there at the end is killed."""
    started = []

    async def begin(*options):
        arguments = ("dev", "--data-dir", str(data_dir), *options)
        process = await start(None, *arguments, stdin=asyncio.subprocess.DEVNULL)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(process):
    """What is printed up to `ready`: the settings for other commands."""
    lines = []
    async with asyncio.timeout(START_TIMEOUT_S):
        while (line := (await process.stdout.readline()).decode().strip()) != "ready":
            assert line or not process.stdout.at_eof(), (await process.stderr.read()).decode()
            lines.append(line)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    return Settings(
        kafka_bootstrap=exports["WALLET_KAFKA_BOOTSTRAP"],
        database_url=exports["WALLET_DATABASE_URL"],
    )


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


async def test_commands_are_decided_and_survive_a_clean_stop_and_a_crash(
    dev, port, data_dir, tmp_path
):
    commands = [OPENED, {**OPENED, "type": "topup", "amount": 500, "reference": "t1"}]
    for field in ("merchant_id", "environment", "customer_id", "currency"):
        del commands[1][field]
    file = tmp_path / "usage.jsonl"
    file.write_text("".join(json.dumps(command) + "\n" for command in commands))

    process = await dev("--port", port)
    settings = await ready(process)
    sent = await run(settings, "send", "--wait", str(file))
    assert [outcome["outcome"] for outcome in sent.documents] == ["accepted", "accepted"]
    seen = "{partition}:{offset}".format(**sent.documents[-1])
    owner = Owner(OPENED["merchant_id"], OPENED["environment"])
    secret_keys = (data_dir / "secret-keys").read_text().strip()
    auth = await create_credentials(settings.database_url, owner, secret_keys)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", auth=auth) as client:
        answer = await client.get("/v1/wallets/wal_a", params={"wait_for": seen})
    assert (answer.status_code, answer.json()["balance"]) == (200, 500)
    children = family(process)
    process.send_signal(signal.SIGTERM)
    done = await finish(process)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    assert gone(children)

    process = await dev("--port", port)
    settings = await ready(process)
    assert (await run(settings, "show", "wal_a", "--json")).document["balance"] == 500
    children = family(process)
    own = psutil.Process(process.pid).children()
    (engine,) = [child for child in own if child.cmdline()[-1:] == ["engine"]]
    engine.kill()
    done = await finish(process)
    assert done.status == 1
    assert "engine ended by itself" in done.err
    assert "engine_started" in done.err  # the end of its log
    assert gone(children)


async def test_infra_only_is_ready_for_processes_by_hand_and_leaves_no_orphans(dev):
    process = await dev("--infra-only", "--json")
    async with asyncio.timeout(START_TIMEOUT_S):
        addresses = json.loads(await process.stdout.readline())
    connection = await asyncpg.connect(addresses["database_url"])
    assert await connection.fetchval("SELECT to_regclass('wallets')::text") == "wallets"
    await connection.close()
    children = family(process)
    assert children
    process.kill()
    await process.wait()
    await poll(lambda: gone(children))

    process = await dev("--infra-only")
    await ready(process)
    children = family(process)
    process.send_signal(signal.SIGINT)
    done = await finish(process)
    assert done.status == 0, done.err
    assert gone(children)


async def test_a_port_that_is_taken_is_one_line_and_nothing_is_left(dev):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        process = await dev("--port", port)
        done = await finish(process)

    assert done.status == 1
    assert done.err == f"wallet: port {port} is taken: choose another one with --port\n"


async def test_ctrl_c_while_it_starts_is_a_clean_end(dev):
    process = await dev("--infra-only")
    await process.stdout.readline()  # the first thing it says it does
    process.send_signal(signal.SIGINT)

    done = await finish(process)

    assert done.status == 0
    assert "ready" not in done.out
    assert "Traceback" not in done.err
