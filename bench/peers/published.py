"""What others say of others, cited: on their machines, with their workloads."""

from typing import NamedTuple


class Published(NamedTuple):
    """A figure as its source gives it, in transfers or transactions per second."""

    system: str
    per_s: str
    conditions: str
    source: str


TWO_CORES = "two cores, durable settings, debits on 1,000 accounts and on one"
_REPORTED = "reported to this project; no command here repeats it"
_TB_PERF = "github.com/softwaremill/tb-perf at 231725f, local-results, 2026-01-19"

PUBLISHED = (
    Published("Formance Ledger 2.4.12", "170-460", TWO_CORES, _REPORTED),
    Published("Blnk 0.15.2", "60-810", TWO_CORES, _REPORTED),
    Published("pyeventsourcing", "90-2,050", TWO_CORES, _REPORTED),
    Published("pgledger", "1,400-4,900", TWO_CORES, _REPORTED),
    Published(
        "Formance Ledger 3.0.0-alpha.1",
        "1,400-6,600",
        f"{TWO_CORES}; one by one",
        _REPORTED,
    ),
    Published(
        "Formance Ledger 3.0.0-alpha.1",
        "39,200",
        f"{TWO_CORES}; atomic bulks of 500",
        _REPORTED,
    ),
    Published(
        "Formance Ledger 1.10 and 2.0",
        "1,000",
        "one ledger, what it is optimised for on commodity storage",
        "docs.formance.com, Architecting for scale",
    ),
    Published(
        "pgledger",
        "over 10,000",
        "M3 MacBook Air, PostgreSQL 17.5 as it comes, little contention",
        "pgrs.net, A Ledger In PostgreSQL Is Fast!, 2025-05-16",
    ),
    Published(
        "TigerBeetle 0.16",
        "42,500",
        "one replica on a Mac, 24,576 in flight, batched by its client",
        _TB_PERF,
    ),
    Published(
        "PostgreSQL, transfers in batches",
        "15,200",
        "the same Mac, 384 in flight, 16 connections, stored procedure",
        _TB_PERF,
    ),
    Published(
        "PostgreSQL, one by one",
        "6,400",
        "the same Mac, 64 in flight, 16 connections, SELECT FOR UPDATE",
        _TB_PERF,
    ),
    Published(
        "TigerBeetle",
        "48,000",
        "one process on a Mac Mini (M4, 10 cores), sustained",
        "backend.how, 1B Payments/Day, 2026",
    ),
)
