"""The debits that every peer makes, and what they come to."""

import argparse
import json
import time
from typing import Any, NamedTuple

from bench.latencies import Latencies
from bench.load import FUNDS, debit_amount


class Debit(NamedTuple):
    """One debit; they take turns over the accounts, as those of `bench.load` do."""

    account: int
    amount: int
    reference: str


def debit(number: int, accounts: int) -> Debit:
    """The debit of this number."""
    return Debit(number % accounts, debit_amount(number), f"peer_{number:08d}")


class Pace:
    """When each debit is due: at once, for so many seconds, or evenly at a rate.

    With a rate a debit's time does not wait for the ones before it, so that a system that stalls
    is not let off by those who use it.
    """

    def __init__(self, seconds: float, rate: float) -> None:
        self._rate = rate
        self._count = int(rate * seconds)
        self._start = time.perf_counter()
        self._end = self._start + seconds

    def time_of(self, number: int) -> float | None:
        """On the clock of `time.perf_counter`; None if there are no more debits."""
        if self._rate:
            return self._start + number / self._rate if number < self._count else None
        now = time.perf_counter()
        return now if now < self._end else None

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._start


class Tally:
    """What became of debits; latencies count from the times when they were due."""

    def __init__(self) -> None:
        self.debits = 0
        self.amount = 0
        self.latencies = Latencies()

    def done(self, amount: int, due: float) -> None:
        self.debits += 1
        self.amount += amount
        self.latencies.record(time.perf_counter() - due)

    def add(self, other: "Tally") -> None:
        self.debits += other.debits
        self.amount += other.amount
        self.latencies.add(other.latencies)

    def check(self, balances: list[int], accounts: int) -> None:
        """Raises RuntimeError unless the balances are what these debits leave."""
        expected = accounts * FUNDS - self.amount
        if len(balances) != accounts or sum(balances) != expected:
            raise RuntimeError(
                f"{len(balances)} balances come to {sum(balances)}, and {accounts} should to "
                f"{expected}"
            )

    def results(self, seconds: float) -> dict[str, float]:
        return {
            "debits": self.debits,
            "debits_per_s": self.debits / seconds,
            **self.latencies.median_and_tail(),
        }


def peer_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """What every peer can be told."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("database_url", help="an empty database")
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0, help="debits per second, or 0: as can be")
    return parser


def print_results(results: dict[str, Any]) -> None:
    """One line of JSON, which `python -m bench.peers` reads."""
    print(json.dumps(results))
