"""pyeventsourcing (the package `eventsourcing`) with its PostgreSQL recorder.

An aggregate for each account and one `save()` a debit, as its documentation does it, and with
all that makes it quicker here:

- Aggregates stay in its cache and are not brought forward from the database nor copied before use,
  which is allowed while no other process writes. Hence no snapshots: no aggregate is read again.
- The debits of an account are made by one thread, so that none ever fails by another's and is
  done again.
- A connection for each thread, and its driver, psycopg, with the compiled half.
- With `--functions` events are inserted by its function inside the database, which takes no lock
  on the table.

It makes no promise about references that come again; ours and the plain one refuse them.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.load import DESCRIPTION, FUNDS
from bench.peers.workload import (
    Pace,
    Tally,
    debit,
    peer_parser,
    print_results,
)


class Account(Aggregate):
    """What is left, and nothing else, as its events are what happened."""

    @event("Opened")
    def __init__(self, number: int, balance: int) -> None:
        self.number = number
        self.balance = balance

    @staticmethod
    def create_id(number: int) -> UUID:
        """The same for the same number."""
        return uuid5(NAMESPACE_OID, f"/accounts/{number}")

    @event("Debited")
    def debit(self, amount: int, reference: str, description: str) -> None:  # noqa: ARG002  # the event keeps them
        if amount > self.balance:
            raise ValueError("insufficient funds")
        self.balance -= amount


class Ledger(Application[UUID]):
    """Debits accounts."""

    def open(self, accounts: int) -> None:
        self.save(*(Account(number, FUNDS) for number in range(accounts)))

    def debit(self, number: int, amount: int, reference: str) -> None:
        account: Account = self.repository.get(Account.create_id(number))
        account.debit(amount, reference, DESCRIPTION)
        self.save(account)

    def balance(self, number: int) -> int:
        account: Account = self.repository.get(Account.create_id(number))
        return account.balance


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Settings as the library takes them."""
    url = urlsplit(arguments.database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path.removeprefix("/"),
        "POSTGRES_HOST": url.hostname or "",
        "POSTGRES_PORT": str(url.port),
        "POSTGRES_USER": url.username or "",
        "POSTGRES_PASSWORD": url.password or "",
        "POSTGRES_POOL_SIZE": str(arguments.threads),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if arguments.functions else "n",
        "AGGREGATE_CACHE_MAXSIZE": str(2 * arguments.accounts),
        "AGGREGATE_CACHE_FASTFORWARD": "n",
        "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }


def numbers(thread: int, arguments: argparse.Namespace) -> Iterator[int]:
    """The debits of this thread's accounts, in order."""
    threads, accounts = min(arguments.threads, arguments.accounts), arguments.accounts
    return (number for number in count() if number % accounts % threads == thread)


def work(ledger: Ledger, thread: int, arguments: argparse.Namespace, pace: Pace) -> Tally:
    """Make the next debit, again and again."""
    tally = Tally()
    for number in numbers(thread, arguments):
        due = pace.time_of(number)
        if due is None:
            break
        time.sleep(max(0.0, due - time.perf_counter()))
        made = debit(number, arguments.accounts)
        ledger.debit(made.account, made.amount, made.reference)
        tally.done(made.amount, due)
    return tally


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Debits by so many threads, and the balances held against them by a new application."""
    settings, tally = environment(arguments), Tally()
    threads = range(min(arguments.threads, arguments.accounts))
    with Ledger(settings) as ledger, ThreadPoolExecutor(len(threads)) as pool:
        ledger.open(arguments.accounts)
        pace = Pace(arguments.seconds, arguments.rate)
        working = [pool.submit(work, ledger, thread, arguments, pace) for thread in threads]
        for each in working:
            tally.add(each.result())
        seconds = pace.elapsed_s
    with Ledger(settings) as reader:
        balances = [reader.balance(number) for number in range(arguments.accounts)]
    tally.check(balances, arguments.accounts)
    return tally.results(seconds)


if __name__ == "__main__":
    parser = peer_parser("bench.peers.event_sourcing", __doc__)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--functions", action="store_true", help="insert by a database function")
    print_results(measure(parser.parse_args()))
