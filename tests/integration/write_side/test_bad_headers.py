"""Keys and headers carry nothing that the engine needs, so nothing in them can harm it."""

from tests.support.engines import Service
from tests.support.payloads import create, debit, topup
from tests.support.raw_records import send_with_header_name

W = "wal_a1"


async def test_headers_named_in_no_utf8_cost_nothing(running: Service) -> None:
    settings = running.settings
    async with running.engine():
        await running.send_commands(create(W), topup(W, "t1", 100), wallet_id=W)
        for number, name in enumerate((b"\xff\xfe", b"\xc3(", b"ok\x00")):
            await send_with_header_name(
                settings.kafka_bootstrap,
                settings.commands_topic,
                0,
                debit(W, f"n{number}", 1),
                name,
            )
        await running.send_commands(debit(W, "d2", 2), wallet_id=W)
        await running.decided(timeout_s=15)
    # the claim reads the record before the shard's offset: here one with such a header
    await send_with_header_name(
        settings.kafka_bootstrap, settings.commands_topic, 0, debit(W, "n9", 1), b"\xff"
    )
    for expected in (6, 7):
        async with running.engine():
            await running.send_commands(debit(W, "d3", 2), wallet_id=W)
            await running.decided(timeout_s=15)
        assert len(await running.entries()) >= expected
    balances = [entry.event.balance_after for entry in (await running.entries())[2:]]
    assert balances == [99, 98, 97, 95, 94, 92]


async def test_the_key_of_a_command_is_not_looked_at(running: Service) -> None:
    keys = [None, b"", b"\xff\xfe", b"wal_somebody_else", b"k" * 10_000]
    async with running.engine():
        await running.send(create(W))
        for number, key in enumerate(keys):
            await running.send(topup(W, f"t{number}", 5), key=key)
        await running.decided()
    assert [entry.wallet_id for entry in await running.entries()] == [W] * (1 + len(keys))


async def test_headers_of_a_command_are_not_looked_at(running: Service) -> None:
    kinds: list[list[tuple[str, bytes | None]]] = [
        [("trace", None)],
        [("trace", b"\xff\xfe")],
        [("", b"")],
        [("same", b"1"), ("same", b"2")],
        [("content-type", b"application/octet-stream"), ("correlation_id", b"\xff")],
        [("wallet-forwarded-from", b"0:0")],
    ]
    async with running.engine():
        await running.send(create(W))
        for number, headers in enumerate(kinds):
            await running.send(topup(W, f"t{number}", 5), headers=headers)
        await running.decided()
    assert len(await running.entries()) == 1 + len(kinds)


async def test_reply_to_makes_the_engine_write_nowhere(running: Service) -> None:
    headers = [("reply_to", running.settings.events_topic.encode())]
    async with running.engine():
        await running.send(create(W), headers=headers)
        await running.decided()
        await running.until("SELECT published = position FROM shards WHERE shard = 0")
    assert len((await running.published())[0]) == len(await running.entries()) == 1
