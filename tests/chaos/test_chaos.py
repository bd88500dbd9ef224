"""A minute of chaos: whatever is killed, stopped or cut off, nothing is lost and nothing doubled."""

import os
from random import SystemRandom

import pytest

from tests.chaos.faults import KINDS
from tests.chaos.run import chaos

SECONDS = 60

pytestmark = pytest.mark.timeout(600)


async def test_nothing_is_lost_or_doubled_in_a_minute_of_chaos() -> None:
    seed = int(os.environ.get("WALLET_TEST_SEED", "0")) or SystemRandom().randrange(1, 10**6)
    result = await chaos(seed, SECONDS, print)
    print(result.text)  # noqa: T201
    assert result.faults.total() >= 5
    assert result.faults.keys() <= set(KINDS)
    assert result.outcomes.total() >= 500
    assert {"debited", "insufficient_funds", "reference_conflict", "dead_letter"} <= {
        *result.outcomes
    }
    assert result.tally.requests >= 200
