"""POST /wallets/:id/debit, as the reference has it."""

import re

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.ids import Owner
from tests.support.customers import INSTANT
from tests.support.money_calls import DEBIT, balance, credit, debit, entries_of, open_wallet
from tests.support.wallet_service import WalletService


async def test_the_example_of_the_reference(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    answer = await debit(client, wallet_id)
    assert answer.status_code == 200
    transaction = answer.json()
    assert re.fullmatch(r"txn_[0-9a-f]{36}", transaction.pop("id"))
    assert INSTANT.fullmatch(transaction.pop("created_at"))
    assert transaction == {
        "type": "debit",
        "amount": 500,
        "balance_before": 15000,
        "balance_after": 14500,
        "reference": "sms_batch_8821",
        "description": "10 SMS messages sent",
        "metadata": {},
    }
    assert await balance(client, wallet_id) == 14500


async def test_the_answer_is_the_transaction_that_lists_show(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    answer = await debit(client, wallet_id, metadata={"batch": 8821, "ok": True, "x": None})
    listed = await client.get(f"/v1/wallets/{wallet_id}/transactions?type=debit")
    assert listed.json()["data"] == [answer.json()]


async def test_a_retry_gives_the_same_answer_and_moves_nothing(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    first = await debit(client, wallet_id)
    await credit(client, wallet_id, 300, "between")
    again = await debit(client, wallet_id)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert await balance(client, wallet_id) == 14800


async def test_a_retry_that_spells_out_what_is_left_out_is_the_same(
    client: httpx.AsyncClient,
) -> None:
    wallet_id = await open_wallet(client, 15000)
    first = await debit(client, wallet_id)
    again = await debit(client, wallet_id, metadata={})
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "change", [{"amount": 501}, {"description": "other"}, {"metadata": {"a": 1}}]
)
async def test_the_same_reference_with_another_body_is_409(
    client: httpx.AsyncClient, change: dict[str, object]
) -> None:
    wallet_id = await open_wallet(client, 15000)
    await debit(client, wallet_id)
    for _ in range(2):
        answer = await debit(client, wallet_id, **change)
        assert answer.status_code == 409
        assert answer.json() == {
            "success": False,
            "error": "This reference was used in this wallet with another body; use a new one.",
        }
    told = (await debit(client, wallet_id, "v2", **change)).json()["error"]
    assert told["code"] == "reference_conflict"
    assert await balance(client, wallet_id) == 14500


async def test_a_credit_under_a_debits_reference_is_409(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    await debit(client, wallet_id)
    answer = await client.post(f"/v2/wallets/{wallet_id}/credit", json=DEBIT)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "reference_conflict"


async def test_two_wallets_share_no_reference(client: httpx.AsyncClient) -> None:
    for wallet_id in [await open_wallet(client, 15000), await open_wallet(client, 15000)]:
        assert (await debit(client, wallet_id)).json()["balance_after"] == 14500


async def test_a_refusal_names_balance_and_amount_and_stands_after_a_credit(
    client: httpx.AsyncClient,
) -> None:
    wallet_id = await open_wallet(client, 499)
    first = await debit(client, wallet_id)
    assert first.status_code == 409
    assert first.json() == {
        "success": False,
        "error": "The balance is 4.99 GHS; the debit is 5.00 GHS.",
    }
    await credit(client, wallet_id, 10_000, "later")
    again = await debit(client, wallet_id)
    assert (again.status_code, again.content) == (409, first.content)
    assert (await debit(client, wallet_id, reference="a new one")).status_code == 200


async def test_a_refusal_has_a_code_in_version_2(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    answer = await debit(client, wallet_id, "v2")
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "insufficient_funds"
    assert error["message"] == "The balance is 0.00 GHS; the debit is 5.00 GHS."


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -500}, "amount"),
        ({"amount": 5.5}, "amount"),
        ({"amount": "500"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 2**63}, "amount"),
        ({"amount": None}, "amount"),
        ({"description": ""}, "description"),
        ({"description": "x" * 1001}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 256}, "reference"),
        ({"reference": "a\0b"}, "reference"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
    ],
)
async def test_a_bad_field_is_400_by_its_name(
    client: httpx.AsyncClient, fields: dict[str, object], field: str
) -> None:
    answer = await debit(client, "wal_whatever", **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["success"] is False
    assert answer.json()["error"].startswith(field)


@pytest.mark.parametrize("field", list(DEBIT))
async def test_every_field_of_the_example_is_required(
    client: httpx.AsyncClient, field: str
) -> None:
    body = {name: value for name, value in DEBIT.items() if name != field}
    answer = await client.post("/v1/wallets/wal_whatever/debit", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(field)


async def test_the_sentence_of_a_bad_amount_is_the_references(client: httpx.AsyncClient) -> None:
    answer = await debit(client, "wal_whatever", amount=-1)
    assert answer.json() == {"success": False, "error": "amount must be a positive integer."}


async def test_a_wallet_that_never_was_is_404(client: httpx.AsyncClient) -> None:
    answer = await debit(client, "wal_nowhere")
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "The requested wallet resource 'wal_nowhere' was not found.",
    }


@pytest.mark.parametrize("owner", [Owner("mch_1", "live"), Owner("mch_2", "sandbox")])
async def test_somebody_elses_wallet_is_404_and_nothing_is_sent(
    service: WalletService, client: httpx.AsyncClient, owner: Owner
) -> None:
    wallet_id = await open_wallet(client, 15000)
    before = await _ends(service)
    async with service.calling_as(owner) as stranger:
        for unknown in (wallet_id, "wal_nowhere"):
            answer = await debit(stranger, unknown)
            assert answer.status_code == 404
            assert answer.json()["error"] == (
                f"The requested wallet resource '{unknown}' was not found."
            )
    assert await _ends(service) == before
    entries = await entries_of(service.settings.database_url, wallet_id)
    assert entries == ["wallet_created", "credited"]
    assert (await debit(client, wallet_id)).status_code == 200


async def _ends(service: WalletService) -> dict[TopicPartition, int]:
    settings = service.settings
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        places = [
            TopicPartition(settings.commands_topic, number)
            for number in range(settings.partitions)
        ]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        return ends
    finally:
        await consumer.stop()
