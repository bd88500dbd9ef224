"""Schemathesis finds nothing: no server error, nothing undocumented, nothing let through."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from cli.stack import Stack
from tests.support.api_explorer import Exploration, explore, prepare
from tests.support.wallet_service import wallet_service

VERSIONS = ("v1", "v2")
DEADLINE_MS = 20_000

pytestmark = pytest.mark.timeout(400)


@pytest_asyncio.fixture(scope="module")
async def explorations(stack: Stack, tmp_path_factory) -> dict[str, Exploration]:
    """Both versions at once, each on things of its own."""

    async def one(version: str) -> Exploration:
        directory: Path = tmp_path_factory.mktemp(version)
        return await explore(service, version, await prepare(service), directory)

    async with wallet_service(stack, api_deadline_ms=DEADLINE_MS) as service:
        found = await asyncio.gather(*map(one, VERSIONS))
        return dict(zip(VERSIONS, found, strict=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_it_finds_nothing(explorations, version) -> None:
    found = explorations[version]
    assert found.returncode == 0, found.output
    assert found.report["complete"]
    assert found.report["failures"] == found.report["errors"] == []
    assert not any(found.report["warnings"].values()), found.report["warnings"]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_tries_everything(explorations, version) -> None:
    report = explorations[version].report
    assert report["operations"]["tested"] == report["operations"]["total"] > 10
    assert set(report["phases"]) == {"examples", "coverage", "fuzzing", "stateful"}
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert report["test_cases"]["generated"] > 500


@pytest.mark.parametrize("version", VERSIONS)
def test_it_gets_past_404_and_409(explorations, version) -> None:
    """Most good requests do what they ask for, of each operation some."""
    found = explorations[version]
    accepted = found.tried("accepted")
    assert len(accepted) == found.report["operations"]["total"]
    assert min(accepted.values()) > 0, accepted
    turned_away = sum(
        map(sum, (found.tried(why).values() for why in ("unreachable", "conflicts")))
    )
    assert sum(accepted.values()) > turned_away
