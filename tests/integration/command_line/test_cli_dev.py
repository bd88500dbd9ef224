"""`wallet dev`: the whole service in one process tree, which starts, ends and comes back whole."""

import asyncio
import json
import re
import shlex
import signal
import socket
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from api.access.scopes import SCOPES
from engine.settings import Settings
from schemas.ids import Owner
from tests.support.polling import poll
from tests.support.query_api import create_credentials
from tests.support.wallet_command import finish, run, start

START_TIMEOUT_S = 90
SECRET = re.compile(r"\b[0-9a-f]{64}\b")
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
    """The settings for other commands, as they are printed."""
    return (await started(process))[0]


async def started(process):
    """The settings for other commands, and everything that is printed up to `ready`."""
    lines = []
    async with asyncio.timeout(START_TIMEOUT_S):
        while (line := (await process.stdout.readline()).decode().strip()) != "ready":
            assert line or not process.stdout.at_eof(), (await process.stderr.read()).decode()
            lines.append(line)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    settings = Settings(
        kafka_bootstrap=exports["WALLET_KAFKA_BOOTSTRAP"],
        database_url=exports["WALLET_DATABASE_URL"],
        secret_keys=substituted(exports["WALLET_SECRET_KEYS"]),
    )
    return settings, "\n".join(lines)


def substituted(text):
    """What a shell makes of "$(cat FILE)"."""
    (name,) = shlex.split(re.fullmatch(r'"\$\(cat (.+)\)"', text)[1])
    return Path(name).read_text().rstrip("\n")


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def gone(processes):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


async def test_commands_are_decided_and_survive_a_clean_stop_and_a_crash(dev, port, tmp_path):
    commands = [OPENED, {**OPENED, "type": "topup", "amount": 500, "reference": "t1"}]
    for field in ("merchant_id", "environment", "customer_id", "currency"):
        del commands[1][field]
    file = tmp_path / "usage.jsonl"
    file.write_text("".join(json.dumps(command) + "\n" for command in commands))

    process = await dev("--port", port)
    settings, said = await started(process)
    await _assert_first_key_works(settings, said, port)
    sent = await run(settings, "send", "--wait", str(file))
    assert [outcome["outcome"] for outcome in sent.documents] == ["accepted", "accepted"]
    seen = "{partition}:{offset}".format(**sent.documents[-1])
    owner = Owner(OPENED["merchant_id"], OPENED["environment"])
    secret_keys = settings.secret_keys.get_secret_value()
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
    settings, said = await started(process)
    assert SECRET.search(said) is None
    assert re.search(r"wallet keys create mch_\w+ --environment sandbox", said)
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


async def _assert_first_key_works(settings, said, port):
    """The curl line that is printed makes the customer of the example when it is pasted."""
    pasted = re.search(r"^(curl .+?'\{.+\}')$", said, re.MULTILINE | re.DOTALL)[1]
    command, url, *options = shlex.split(pasted.replace("\\\n", " "))
    told = dict(zip(options[::2], options[1::2], strict=True))
    client_id, secret = told["-u"].split(":")
    assert (command, url) == ("curl", f"http://127.0.0.1:{port}/v1/customers")
    assert re.search(rf"^client id +{client_id}$", said, re.MULTILINE)
    assert re.search(rf"^client secret +{secret}$", said, re.MULTILINE)
    async with httpx.AsyncClient(auth=(client_id, secret)) as client:
        headers = dict([told["-H"].split(": ")])
        answer = await client.post(url, content=told["-d"], headers=headers)
    assert (answer.status_code, answer.json()["email"]) == (201, "ama@example.com"), answer.text

    merchant_id = re.search(r"wallet keys list (mch_\w+)$", said, re.MULTILINE)[1]
    key = (await run(settings, "keys", "list", merchant_id, "--json")).document
    assert (key["client_id"], key["environment"]) == (client_id, "sandbox")
    assert key["scopes"] == list(SCOPES)
    another = ("--environment", "sandbox", "--label", "mine", "--json")
    made = await run(settings, "keys", "create", merchant_id, *another)
    assert made.status == 0, made.err


async def test_the_secret_key_is_made_once_and_is_its_owners_alone(dev, data_dir):
    process = await dev("--infra-only")
    settings, said = await started(process)
    file = data_dir / "secret-keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}\n", file.read_text())
    assert file.read_text().strip() not in said
    process.send_signal(signal.SIGTERM)
    assert (await finish(process)).status == 0

    process = await dev("--infra-only")
    assert (await ready(process)).secret_keys == settings.secret_keys


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
