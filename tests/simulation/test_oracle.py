"""The oracle by itself, and beside the engine's core over the commands of many plans."""

import json
from pathlib import Path

import pytest

from tests.simulation.checks import Checks
from tests.simulation.oracle import (
    Asked,
    ShardOracle,
    command_id,
    conflict_id,
    expiry_id,
    further_id,
)
from tests.simulation.plan import Plan
from tests.simulation.reading import Undecodable, read_command, without_absent
from tests.simulation.undisturbed import Sent, Undisturbed

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "digests.json").read_bytes())
OPENING = {
    "type": "create_wallet",
    "wallet_id": "wal_1",
    "reference": "open",
    "merchant_id": "mch_1",
    "environment": "live",
    "customer_id": "cus_1",
    "currency": "GHS",
}
TOP_UP = {"type": "topup", "wallet_id": "wal_1", "reference": "a", "amount": 5}


class Partition:
    """The only partition there is, so that every wallet is at home."""

    def __init__(self):
        self.oracle = ShardOracle(0, 1, 1000)
        self.offset = 0

    def send(self, fields, now=0, headers=()):
        value = (
            fields if fields is None or isinstance(fields, bytes) else json.dumps(fields).encode()
        )
        expected = self.oracle.record(Sent(self.offset, 0, None, value, headers), now)
        self.offset += 1
        return expected

    def code(self, fields, now=0):
        expected = self.send(fields, now)
        return expected.entries[-1]["event"].get("code") if expected.entries else expected.fate


@pytest.fixture
def partition():
    return Partition()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["command"]["type"])
def test_it_names_commands_as_they_have_always_been_named(golden):
    command = Asked.of(without_absent(golden["command"]))
    assert {
        "command": golden["command"],
        "command_id": command.identity.hex(),
        "body_digest": command.digest.hex(),
        "conflict_id": conflict_id(command.identity, command.digest).hex(),
        "further_id": [further_id(command.identity, ordinal).hex() for ordinal in (0, 1)],
        "expiry_id": [expiry_id(command.wallet_id, lot).hex() for lot in (2, 2**62)],
    } == golden


def test_a_repeat_leaves_nothing(partition):
    assert partition.code(OPENING) is None
    assert partition.code(TOP_UP) is None
    assert partition.code(dict(reversed(TOP_UP.items())) | {"metadata": {}}) == "repeat"
    assert partition.oracle.wallets["wal_1"].balance() == 5


def test_a_repeat_of_a_refusal_is_no_second_try(partition):
    debit = TOP_UP | {"type": "debit", "reference": "b"}
    partition.send(OPENING)
    assert partition.code(debit) == "insufficient_funds"
    partition.send(TOP_UP)
    assert partition.code(debit) == "repeat"


def test_another_body_is_a_conflict_once(partition):
    partition.send(OPENING)
    partition.send(TOP_UP)
    other = TOP_UP | {"amount": 6}
    assert partition.code(other) == "reference_conflict"
    assert partition.code(other) == "repeat"
    assert partition.code(TOP_UP | {"type": "debit"}) == "reference_conflict"


def test_a_foreign_command_takes_no_reference(partition):
    partition.send(OPENING)
    foreign = partition.send(TOP_UP | {"merchant_id": "mch_2"}).entries[0]
    assert foreign["event"]["code"] == "wallet_not_found"
    assert foreign["merchant_id"] is None
    assert foreign["command_id"] != command_id("wal_1", "a").hex()
    assert partition.code(TOP_UP | {"merchant_id": "mch_2"}) == "repeat"
    assert partition.code(TOP_UP | {"merchant_id": "mch_1"}) is None


def test_whose_the_wallet_is_comes_before_what_the_reference_stands_for(partition):
    foreign = TOP_UP | {"merchant_id": "mch_2"}
    assert partition.code(foreign) == "wallet_not_found"
    partition.send(OPENING)
    again = partition.send(foreign).entries[0]
    assert again["event"]["code"] == "wallet_not_found"
    assert again["command_id"] != command_id("wal_1", "a").hex()
    assert partition.code(foreign) == "repeat"


def test_what_has_run_out_expires_before_the_command_and_under_its_offset(partition):
    partition.send(OPENING)
    partition.send(TOP_UP | {"type": "credit", "expires_at": "1970-01-01T00:00:00.000009Z"})
    expired, refused = partition.send(TOP_UP | {"type": "debit", "reference": "b"}, 9).entries
    assert (expired["event"]["type"], expired["offset"], expired["last"]) == ("expired", 2, False)
    assert (refused["event"]["wallet_version"], refused["offset"], refused["last"]) == (3, 2, True)


def test_closing_with_money_leaves_two_entries(partition):
    partition.send(OPENING)
    partition.send(TOP_UP)
    close = {"type": "close", "wallet_id": "wal_1", "reference": "c"}
    written_off, closed = partition.send(close).entries
    outcome = command_id("wal_1", "c")
    assert written_off["command_id"] == further_id(outcome, 0).hex()
    assert closed["command_id"] == outcome.hex()
    assert (written_off["version"], closed["version"]) == (3, 4)


def test_strays_go_home_once():
    at_home = ShardOracle(0, 4, 1000)
    fates = []
    for number in range(40):
        value = json.dumps(TOP_UP | {"wallet_id": f"wal_{number}"}).encode()
        fresh = at_home.record(Sent(0, 0, None, value), 0)
        header = (("wallet-forwarded-from", b"1:1"),)
        again = at_home.record(Sent(1, 0, None, value, header), 0)
        fates.append((fresh.fate, again.fate, again.reasons))
        assert (fresh.home is None) == (fresh.fate == "entries")
    assert set(fates) == {
        ("entries", "repeat", ()),
        ("forwarded", "dead_letter", ("misrouted",)),
    }


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        (None, ("null_value",)),
        (b"x" * 96 * 1024 + b"x", ("payload_too_large",)),
        (b"{", ("malformed_json", "invalid_command")),
        (b"[]", ("invalid_command",)),
        (json.dumps(TOP_UP | {"amount": True}).encode(), ("invalid_command",)),
        (json.dumps(TOP_UP | {"amount": None}).encode(), ("invalid_command",)),
        (json.dumps(TOP_UP | {"priority": 1}).encode(), ("invalid_command",)),
        (json.dumps(TOP_UP | {"metadata": {"": 1}}).encode(), ("invalid_command",)),
    ],
)
def test_what_is_no_command_is_a_dead_letter(partition, payload, reasons):
    assert partition.send(payload)[0] == "dead_letter"
    with pytest.raises(Undecodable) as undecodable:
        read_command(payload)
    assert undecodable.value.reasons == reasons


@pytest.mark.parametrize("seed", range(40))
def test_it_expects_what_the_engines_core_decides(seed):
    plan = Plan.draw(seed)
    undisturbed = Undisturbed(plan)
    checks = Checks(plan, undisturbed, undisturbed)
    undisturbed.run()
    sent = [len(topic.records) for topic in undisturbed.topics["wallet.commands"]]
    assert [shard.next_offset for shard in checks.shards] == sent
    assert sum(sent) >= 300
