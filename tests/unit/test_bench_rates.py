"""What the benchmarks of debits over HTTP and of peers find out by themselves."""

import pytest

from bench.load import FUNDS, debits, wallet_ids
from bench.peers.workload import Pace, Tally, debit
from bench.top_rate import Probe, find_top_rate


def probe(rate: float, *, p99_ms: float, all_ok: bool = True) -> Probe:
    return Probe(rate, requests_per_s=rate, p50_ms=1, p99_ms=p99_ms, all_ok=all_ok)


@pytest.mark.parametrize("limit", [3, 57, 399, 400, 1_234, 9_999])
async def test_the_top_rate_is_found_from_either_side(limit):
    async def at(rate: float) -> Probe:
        return probe(rate, p99_ms=10 if rate <= limit else 90)

    found = await find_top_rate(at, p99_ms_max=50, first=400)

    assert limit / 1.06 <= found.best.rate <= limit


async def test_one_pause_of_the_machine_does_not_decide():
    tried: set[float] = set()

    async def at(rate: float) -> Probe:
        paused = rate not in tried
        tried.add(rate)
        return probe(rate, p99_ms=10 if rate <= 1_000 and not paused else 90)

    found = await find_top_rate(at, p99_ms_max=50, first=400)

    assert 1_000 / 1.06 <= found.best.rate <= 1_000


async def test_a_rate_with_errors_does_not_count_however_quick():
    async def at(rate: float) -> Probe:
        return probe(rate, p99_ms=10, all_ok=rate <= 100)

    assert (await find_top_rate(at, p99_ms_max=50, first=400)).best.rate <= 100


async def test_what_never_answers_in_time_is_said():
    async def at(rate: float) -> Probe:
        return probe(rate, p99_ms=90)

    with pytest.raises(ValueError, match="not even"):
        await find_top_rate(at, p99_ms_max=50, first=400)


def test_peers_make_the_debits_that_ours_makes():
    ours = list(debits(wallet_ids(7), 20, "peer"))
    for number, (wallet_id, payload) in enumerate(ours):
        made = debit(number, 7)
        assert wallet_id == wallet_ids(7)[made.account]
        assert f'"reference":"{made.reference}","amount":{made.amount},'.encode() in payload


def test_balances_that_are_not_what_the_debits_leave_are_refused():
    tally = Tally()
    for number in range(4):
        tally.done(debit(number, 2).amount, due=0)
    left = [FUNDS - 1 - 3, FUNDS - 2 - 4]

    tally.check(left, accounts=2)
    for wrong in ([left[0], left[1] + 1], left[:1], [*left, 0]):
        with pytest.raises(RuntimeError, match="balances come to"):
            tally.check(wrong, accounts=2)


def test_a_rate_gives_every_debit_a_time_that_waits_for_nobody():
    pace = Pace(seconds=2, rate=5)
    times = [pace.time_of(number) for number in range(11)]

    assert times[10] is None
    assert [time - times[0] for time in times[:10]] == pytest.approx([n / 5 for n in range(10)])
