"""Nothing of one owner in anything that another reads."""

import pytest

from schemas.ids import Owner
from tests.support.history import HistoryBuilder
from tests.support.query_api import create_credentials, record, walk

OWNERS = [Owner("mch_1", "live"), Owner("mch_1", "sandbox"), Owner("mch_2", "live")]


def histories() -> list[HistoryBuilder]:
    """The same things of each owner, in one shard and at one moment, for the same customer."""
    shared = HistoryBuilder()
    for number, owner in enumerate(OWNERS):
        for letter in "abc":
            wallet_id = f"wal_{number}{letter}"
            shared.create(wallet_id, **owner._asdict(), customer_id="cus_same")
            shared.topup(wallet_id, 100 + number, reference="same").freeze(wallet_id)
    return [shared]


@pytest.mark.parametrize("number", range(len(OWNERS)))
async def test_lists_show_an_owners_own(client, connection, database_url, number) -> None:
    await record(connection, *histories())
    client.auth = await create_credentials(database_url, OWNERS[number])
    own = [f"wal_{number}{letter}" for letter in "cba"]
    for filters in ({}, {"customer_id": "cus_same"}, {"currency": "GHS"}, {"status": "frozen"}):
        for limit in (1, 2, 100):
            found = await walk(client, "/v1/wallets", limit=limit, **filters)
            assert [each["id"] for each in found] == own
            second = await walk_cursors(client, "/v2/wallets", limit=limit, **filters)
            assert [each["id"] for each in second] == own


async def walk_cursors(client, path, **parameters) -> list[dict]:
    items: list[dict] = []
    while True:
        page = (await client.get(path, params=parameters)).json()
        items += page["data"]
        if page["next_cursor"] is None:
            return items
        parameters["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("number", range(len(OWNERS)))
async def test_an_id_of_anothers_is_one_that_never_was(
    client, connection, database_url, number, version
) -> None:
    await record(connection, *histories())
    client.auth = await create_credentials(database_url, OWNERS[number])
    for whose in range(len(OWNERS)):
        for path in (
            "",
            "/transactions",
            "/transactions?reference=same",
            "/transactions?type=topup",
        ):
            answer = await client.get(f"/{version}/wallets/wal_{whose}a{path}")
            never = await client.get(f"/{version}/wallets/wal_never{path}")
            assert answer.status_code == (200 if whose == number else 404)
            if whose != number:
                assert answer.text == never.text.replace("wal_never", f"wal_{whose}a")


async def test_the_same_reference_finds_an_owners_own(client, connection, database_url) -> None:
    await record(connection, *histories())
    for number, owner in enumerate(OWNERS):
        client.auth = await create_credentials(database_url, owner)
        path = f"/v1/wallets/wal_{number}b/transactions"
        (found,) = (await client.get(path, params={"reference": "same"})).json()["data"]
        assert found["amount"] == 100 + number
