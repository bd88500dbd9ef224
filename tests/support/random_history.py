"""Histories at random, from hypothesis or from a seed."""

import random
from dataclasses import dataclass, replace
from typing import Literal

from hypothesis import strategies as st

from schemas.money import AMOUNT_MAX
from tests.support.history import HistoryBuilder

Kind = Literal[
    "create", "topup", "credit", "debit", "freeze", "unfreeze", "close", "expire", "wait"
]
_KINDS: tuple[Kind, ...] = (
    *("create", "topup", "topup", "credit", "credit", "credit"),
    *("debit", "debit", "debit", "debit", "freeze", "unfreeze", "unfreeze"),
    *("close", "expire", "wait", "wait"),
)
_SKIPPED: dict[Kind, float] = {"close": 0.98, "create": 0.9, "freeze": 0.6}
_METADATA: tuple[dict[str, object], ...] = (
    {},
    {"n": 1},
    {"wide": AMOUNT_MAX, "sci": 1e23, "tiny": 5e-324, "whole": 5.0, "minus": -0.0},
    {"text": 'quote " and \\ and ünïcödé', "none": None, "yes": True},
)


@dataclass(frozen=True)
class Step:
    """One thing that happens to one wallet, under a reference used before if `again`."""

    kind: Kind
    wallet: int = 0
    amount: int = 1
    lasts: int | None = None
    priority: int = 100
    metadata: int = 0
    again: bool = False


STEPS = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(_KINDS),
        wallet=st.integers(0, 3),
        amount=st.one_of(st.integers(1, 300), st.sampled_from([AMOUNT_MAX, AMOUNT_MAX // 2])),
        lasts=st.one_of(st.none(), st.integers(1, 40)),
        priority=st.sampled_from([0, 100, 1000]),
        metadata=st.integers(0, len(_METADATA) - 1),
        again=st.sampled_from([False] * 9 + [True]),
    ),
    min_size=10,
    max_size=60,
)


def random_history(
    seed: int, *, shard: int = 0, steps: int = 500, wallets: int = 20
) -> HistoryBuilder:
    """The same history for the same arguments; about one entry a step."""
    source = random.Random(seed)
    builder = HistoryBuilder(shard)
    for wallet in range(wallets):
        take_step(builder, Step("create", wallet, amount=wallet, metadata=wallet % 4))
    for _ in range(steps):
        take_step(builder, _random_step(source, wallets))
    return builder


def _random_step(source: random.Random, wallets: int) -> Step:
    step = Step(
        kind=source.choice(_KINDS),
        wallet=source.randrange(wallets),
        amount=source.randint(1, 300),
        lasts=source.choice([None, None, source.randint(1, 40)]),
        priority=source.choice([0, 100, 100, 1000]),
        metadata=source.randrange(len(_METADATA)),
        again=source.random() < 0.03,
    )
    # what ends or blocks a wallet has to be rarer than the rest
    rarely = source.random() < _SKIPPED.get(step.kind, 0)
    return replace(step, kind="debit") if rarely else step


def play(steps: list[Step], *, shard: int = 0) -> HistoryBuilder:
    """The history of these steps; wallets 0 to 2 are there before them."""
    builder = HistoryBuilder(shard)
    for wallet in range(3):
        take_step(builder, Step("create", wallet, metadata=wallet))
    for step in steps:
        take_step(builder, step)
    return builder


def wallet_name(shard: int, wallet: int) -> str:
    """Wallets of two shards never share a name."""
    return f"wal_{shard}x{wallet}"


def take_step(builder: HistoryBuilder, step: Step) -> None:
    """Let one step happen."""
    wallet_id = wallet_name(builder.shard, step.wallet)
    if step.kind == "wait":
        builder.wait(step.lasts or step.amount % 60)
        return
    if step.kind == "expire":
        builder.expire(wallet_id)
        return
    fields = {"reference": "again"} if step.again else {}
    if step.kind == "create":
        _create(builder, wallet_id, step, fields)
    elif step.kind in ("freeze", "unfreeze", "close"):
        getattr(builder, step.kind)(wallet_id, **fields)
    else:
        _move_money(builder, wallet_id, step, fields)
    # moments of their own, with microseconds
    builder.wait(0.250001)


def _create(builder: HistoryBuilder, wallet_id: str, step: Step, fields: dict[str, str]) -> None:
    odd = step.wallet % 2
    builder.create(
        wallet_id,
        merchant_id=f"mch_{odd}",
        environment="sandbox" if odd else "live",
        customer_id=f"cus_{step.wallet % 5}",
        currency="USD" if step.wallet % 3 else "GHS",
        credit_limit=500 if step.wallet % 2 else 0,
        metadata=_METADATA[step.metadata],
        **fields,
    )


def _move_money(
    builder: HistoryBuilder, wallet_id: str, step: Step, fields: dict[str, str]
) -> None:
    described = {"description": f"a {step.kind} — “{step.amount}”", **fields}
    metadata = _METADATA[step.metadata]
    if step.kind == "credit":
        builder.credit(
            wallet_id,
            step.amount,
            lasts=step.lasts,
            priority=step.priority,
            metadata=metadata,
            **described,
        )
    elif step.kind == "topup":
        builder.topup(wallet_id, step.amount, metadata=metadata, **described)
    else:
        builder.debit(wallet_id, step.amount, metadata=metadata, **described)
