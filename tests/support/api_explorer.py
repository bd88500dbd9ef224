"""Schemathesis against a running API, with ids of what is there."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct

from tests.support.wallet_service import WalletService

SEED: Final = 20_260_524
EXAMPLES_PER_OPERATION: Final = 12

_ROOT: Final = Path(__file__).parents[2]
_LOST: Final = 15
_RULES: Final = """\
[warnings]
fail-on = true

[parameters]
"path.wallet_id" = { dictionary = "wallets", probability = 0.9 }
"path.customer_id" = { dictionary = "customers", probability = 0.9 }
"query.customer_id" = { dictionary = "customers", probability = 0.7 }
"body.customer_id" = { dictionary = "customers", probability = 0.9 }

[[operations]]
include-operation-id = "closeWallet"
parameters = { "path.wallet_id" = { dictionary = "to_close", probability = 0.9 } }

[[operations]]
include-operation-id = "deleteCustomer"
parameters = { "path.customer_id" = { dictionary = "to_delete", probability = 0.9 } }
"""


class KnownIds(Struct, frozen=True, kw_only=True):
    """Ids that lead somewhere, and one of each kind that does not; some are there to be lost."""

    wallets: list[str]
    to_close: list[str]
    customers: list[str]
    to_delete: list[str]

    def dictionaries(self) -> str:
        return "".join(
            f"[dictionaries.{name}]\nvalues = {json.dumps(getattr(self, name))}\n\n"
            for name in self.__struct_fields__
        )


class Exploration(Struct, frozen=True, kw_only=True):
    """How a run ended: its status, what it printed, and its report."""

    returncode: int
    output: str
    report: dict[str, Any]

    def tried(self, outcome: str) -> dict[str, int]:
        """How many good requests of each operation were `accepted`, `unreachable` (404), …"""
        return {
            operation: sum(phase[outcome] for phase in phases.values())
            for operation, phases in self.report["valid_rates"].items()
        }


async def prepare(service: WalletService) -> KnownIds:
    """Customers, and wallets of every status."""
    client = service.client
    customers = [await _customer(client) for _ in range(3)]
    active = [await _wallet(client, customers[0]) for _ in range(4)]
    for wallet in active[:3]:
        body = {"amount": 10**15, "description": "to spend", "reference": "first"}
        await _post(client, f"/v1/wallets/{wallet}/credit", body)
    frozen, closed = [await _wallet(client, customers[0]) for _ in range(2)]
    await _post(client, f"/v1/wallets/{frozen}/freeze", None)
    await _post(client, f"/v1/wallets/{closed}/close", None)
    return KnownIds(
        wallets=[*active, frozen, closed, "wal_nowhere"],
        to_close=[await _wallet(client, customers[1]) for _ in range(_LOST)],
        customers=[*customers, "cus_nobody"],
        to_delete=[await _customer(client) for _ in range(_LOST)],
    )


async def explore(
    service: WalletService, version: str, known: KnownIds, directory: Path
) -> Exploration:
    """Every check and phase of schemathesis on one version; it writes into `directory` only."""
    rules = directory / "schemathesis.toml"
    rules.write_text(_RULES + "\n" + known.dictionaries(), encoding="utf-8")
    report = directory / "report.json"
    base_url = service.client.base_url
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("st"), "--config-file", rules, "run"),
        f"{base_url}/{version}/openapi.json",
        *("--header", f"Authorization: {_authorization(service.client)}"),
        *("--checks", "all", "--continue-on-failure", "--seed", str(SEED)),
        *("--max-examples", str(EXAMPLES_PER_OPERATION), "--generation-database", "none"),
        *("--request-timeout", "60"),
        *("--report-json-path", report),
        cwd=directory,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(_ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return Exploration(
        returncode=await process.wait(),
        output=output.decode(),
        report=json.loads(report.read_bytes()) if report.exists() else {},
    )


def _authorization(client: httpx.AsyncClient) -> str:
    assert client.auth is not None
    request = httpx.Request("GET", client.base_url)
    return str(next(client.auth.sync_auth_flow(request)).headers["authorization"])


async def _post(client: httpx.AsyncClient, path: str, body: Any) -> str:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


async def _customer(client: httpx.AsyncClient) -> str:
    return await _post(client, "/v1/customers", {"email": f"{os.urandom(8).hex()}@example.com"})


async def _wallet(client: httpx.AsyncClient, customer_id: str) -> str:
    return await _post(client, "/v1/wallets", {"customer_id": customer_id, "currency": "GHS"})
