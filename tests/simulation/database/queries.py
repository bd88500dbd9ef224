"""Which text stands for which query: the named queries of the packages, and variants of them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import engine.log
import projections.models
from engine.sql import load_queries
from tests.simulation.database.conditions import Guarded, read_conditions, split_conditions
from tests.simulation.database.errors import UnknownQueryError, server_error
from tests.simulation.database.log_queries import LOG
from tests.simulation.database.projector_queries import CATALOG, PROJECTOR, fillings
from tests.simulation.database.replay_queries import RECEIPTS, REPLAY
from tests.simulation.database.rows import Record
from tests.simulation.database.transactions import Transaction

Run = Callable[..., Sequence[Record]]

PAYLOAD_BYTES_MAX = 7_999
_NOTIFY = re.compile(r"SELECT pg_notify\(\$1, .*\) FROM unnest\(\$2::\w+\[\]\) AS \w+")


class Known(NamedTuple):
    """A query that is understood, by its name in its file."""

    name: str
    run: Callable[[Transaction, Sequence[Any]], Sequence[Record]]
    reads: bool = False
    """Whether it changes and locks nothing."""


class _CompareAndSet(NamedTuple):
    name: str
    guarded: Guarded
    key: frozenset[str]
    run: Run


def _plain(name: str, run: Run) -> Known:
    return Known(name, lambda transaction, arguments: run(transaction, *arguments), name in _READS)


def _guarded(name: str, run: Run, conditions: str, key: frozenset[str]) -> Known:
    read = read_conditions(conditions, key)
    return Known(name, lambda transaction, arguments: run(transaction, read, *arguments))


_COMPARE_AND_SET: Final = {
    "append": frozenset({"shard"}),
    "advance": frozenset({"name", "generation", "shard"}),
}
"""Queries that are bound to conditions, with the columns that name the row."""

_READS: Final = frozenset(
    (
        *("read_shard", "find_outcomes", "load_wallets", "read_entries", "read_due", "next_due"),
        *("partial_tiles", "unpublished_dead_letters", "behind", *CATALOG, *REPLAY, *RECEIPTS),
    )
)

_ENGINE, _PROJECTIONS = Path(engine.log.__file__).parent, Path(projections.models.__file__).parent
_FILES: Final = {
    _ENGINE / "log.sql": LOG,
    _ENGINE / "replay.sql": REPLAY,
    _ENGINE / "receipts.sql": RECEIPTS,
    _PROJECTIONS / "sql" / "projector.sql": PROJECTOR,
    _PROJECTIONS / "sql" / "catalog.sql": CATALOG,
}


def _statements(name: str, text: str) -> list[str]:
    """What is sent for a named query."""
    if name == "append":
        return [engine.log.append_query(more=more) for more in (False, True)]
    return [text]


def _load() -> tuple[dict[str, Known], list[_CompareAndSet]]:
    known = {text: _plain(name, run) for text, (name, run) in fillings().items()}
    guarded = []
    for path, runs in _FILES.items():
        texts = load_queries(path)
        for name, run in runs.items():
            key = _COMPARE_AND_SET.get(name)
            if key is None:
                known[texts[name]] = _plain(name, run)
                continue
            for text in _statements(name, texts[name]):
                split = split_conditions(text)
                if split is None:
                    raise UnknownQueryError(f"{path.name}: {name} has no conditions to be read")
                known[text] = _guarded(name, run, split.conditions, key)
                guarded.append(_CompareAndSet(name, split, key, run))
    return known, guarded


KNOWN, _GUARDED = _load()


def understand(text: str) -> Known:
    """A variant of a known query, with other conditions; raises UnknownQueryError."""
    if _NOTIFY.fullmatch(" ".join(text.split())):
        return _plain("notify", _notify)
    split = split_conditions(text)
    if split is not None:
        for query in _GUARDED:
            if query.guarded.around == split.around:
                return _guarded(query.name, query.run, split.conditions, query.key)
    raise UnknownQueryError(f"the simulation does not know this query:\n{text}")


def _notify(
    transaction: Transaction, channel: str, payloads: Sequence[object]
) -> Sequence[Record]:
    # the server drops those that say the same
    texts = dict.fromkeys(map(str, payloads))
    if any(len(text.encode()) > PAYLOAD_BYTES_MAX for text in texts):
        raise server_error("22023", "payload string too long")
    database = transaction.database

    def notify() -> None:
        for text in texts:
            database.notify(channel, text)

    transaction.change(notify)
    return ()
