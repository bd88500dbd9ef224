"""The walk through the HTTP API, as a stranger takes it right after `wallet dev`."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from cli.stack.ports import free_port
from tests.support.wallet_command import Done, finish, start

SCRIPT = Path(__file__).parents[2] / "examples" / "walk_through.py"
STARTED_S_MAX = 180
STOPPED_S_MAX = 60

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Printed:
    """What `wallet dev` has told its user."""

    url: str
    client_id: str
    client_secret: str


@pytest_asyncio.fixture(scope="module")
async def dev(tmp_path_factory):
    directory = tmp_path_factory.mktemp("walk")
    arguments = ("dev", "--data-dir", str(directory), "--port", str(free_port()))
    process = await start(None, *arguments, stdin=DEVNULL, stderr=DEVNULL)
    try:
        yield await _printed(process)
    finally:
        process.terminate()
        async with asyncio.timeout(STOPPED_S_MAX):
            await process.communicate()


async def _printed(process: asyncio.subprocess.Process) -> Printed:
    lines = []
    async with asyncio.timeout(STARTED_S_MAX):
        while (line := (await process.stdout.readline()).decode().strip()) != "ready":
            assert line or not process.stdout.at_eof(), lines
            lines.append(line)
    words = (line.rsplit(maxsplit=1) for line in lines if len(line.split()) in (2, 3))
    named = dict(words)
    return Printed(named["API"], named["client id"], named["client secret"])


async def walk(*arguments: str, **environment: str) -> Done:
    """Run the script with the standard library alone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(SCRIPT), *arguments),
        env={"PATH": os.environ["PATH"], **environment},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    return await finish(process)


async def test_a_stranger_walks_through_all_of_it(dev: Printed) -> None:
    done = await walk(
        *("--url", dev.url, "--client-id", dev.client_id, "--client-secret", dev.client_secret)
    )
    assert done.err == ""
    assert done.status == 0
    for shown in ("/v1/customers ", "/topups ", "/debit ", "/credit ", "/freeze ", "/close "):
        assert f"{shown}-u" in done.out.replace("'", ""), shown
    assert done.out.count("sms_batch_") >= 4
    assert "GH₵0.00" in done.out
    assert dev.client_secret not in done.out
    assert done.out.endswith("# All as it should be.\n")


async def test_it_can_be_walked_again_with_credentials_of_the_environment(dev: Printed) -> None:
    done = await walk(
        CLIENT_ID=dev.client_id, CLIENT_SECRET=dev.client_secret, WALLET_API_URL=dev.url
    )
    assert done.status == 0, done.err


async def test_what_is_not_as_expected_ends_it_with_one_line(dev: Printed) -> None:
    done = await walk(
        *("--url", dev.url, "--client-id", dev.client_id, "--client-secret", "0" * 64)
    )
    assert done.status == 1
    assert done.err == "walk_through: POST /v1/customers answered 401, not 201\n"


async def test_an_api_that_is_not_there_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = await walk("--url", url, "--client-id", "x", "--client-secret", "x")
    assert done.status == 1
    assert done.err.startswith(f"walk_through: no answer from {url}/v1/customers (")
    assert done.err.endswith("; is `wallet dev` running?\n")
    assert done.err.count("\n") == 1


async def test_without_credentials_it_says_where_they_come_from() -> None:
    done = await walk()
    assert done.status == 2
    assert "`wallet dev` prints them" in done.err
