"""What the benchmark sends is what its figures say it is."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from bench.load import burning, mixed, opening, repeats_in, wallet_ids, with_lots
from bench.scheduled_commands import Schedule
from bench.sizes import FULL, QUICK
from engine.decider import decide, evolve
from engine.wallet import Wallet
from schemas.commands import decode_command
from schemas.events import Debited
from schemas.rejections import Rejection

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("count", [50, 30_000, 30_017])
def test_a_mixed_load_repeats_as_many_commands_as_it_says(count):
    wallets = wallet_ids(40_000)
    sent = set(opening(wallets))
    fresh = Counter(command not in sent and not sent.add(command) for command in _mixed(count))
    assert fresh[False] == repeats_in(count)


def test_of_a_mixed_load_a_sixth_are_repeats_and_a_tenth_is_refused():
    wallets = wallet_ids(40_000)
    states = dict.fromkeys(wallets)
    sent = {}
    for wallet_id, payload in opening(wallets):
        command = decode_command(payload)
        sent[payload] = "opening"
        (event,) = decide(states[wallet_id], command, NOW)
        states[wallet_id] = evolve(states[wallet_id], event)
    kinds = Counter()
    for wallet_id, payload in _mixed(30_000):
        if payload in sent:
            kinds["repeat"] += 1
            continue
        decision = decide(states[wallet_id], decode_command(payload), NOW)
        sent[payload] = kind = "refused" if isinstance(decision, Rejection) else "accepted"
        kinds[kind] += 1
    assert kinds == {"repeat": 4_800, "refused": 3_000, "accepted": 22_200}


def test_a_mixed_load_finds_every_wallet_cold():
    fresh = set()
    for wallet_id, payload in mixed(wallet_ids(40_000), 10_000, 10_000, "again"):
        if decode_command(payload).reference != "fund":
            fresh.add((wallet_id, payload))
    assert len({wallet_id for wallet_id, _ in fresh}) == len(fresh)


def test_three_runs_of_the_mixed_load_fit_among_the_wallets():
    assert 3 * FULL.commands <= FULL.many_wallets


def test_debits_burn_three_lots_and_leave_twenty():
    rounds = 20
    wallet: Wallet | None = None
    for _, payload in with_lots(["wal_one"], 20 + 2 * rounds):
        (event,) = decide(wallet, decode_command(payload), NOW)
        wallet = evolve(wallet, event)
    burnt = []
    for _, payload in burning(["wal_one"], rounds):
        (event,) = decide(wallet, decode_command(payload), NOW)
        assert isinstance(event, Debited)
        wallet = evolve(wallet, event)
        burnt.append(len(event.lots))
    assert burnt == [1] + [3] * rounds
    assert len(wallet.lots) == 20


def test_a_scale_changes_how_much_but_not_what_is_measured():
    scaled = FULL.scaled(0.1)
    assert (scaled.commands, scaled.many_wallets) == (30_000, 100_000)
    assert (scaled.cold_loads, scaled.lots_debits) == (FULL.cold_loads, FULL.lots_debits)
    assert FULL.scaled(1) == FULL
    assert QUICK.commands < FULL.commands


def test_a_command_counts_from_the_time_it_should_have_been_sent_at():
    schedule = Schedule([("wal_one", b"{}")] * 4, rate=2, offsets=[100])
    (partition,) = schedule.partitions
    partition.commit(102, 3.0, schedule.latencies)
    partition.commit(101, 9.0, schedule.latencies)
    partition.commit(104, 4.0, schedule.latencies)
    recorded = schedule.latencies
    assert recorded.count == 4
    # due after 0, 0.5, 1 and 1.5 s
    assert recorded.max_ms == pytest.approx(3_000, rel=0.001)
    assert recorded.ms(0) == pytest.approx(2_500, rel=0.001)


def _mixed(count):
    return mixed(wallet_ids(40_000), 0, count, "mixed")
