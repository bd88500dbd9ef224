"""Whatever a wallet has been through, each of its entries is explained by the fewest others."""

from hypothesis import given, settings

from audit.explanation import explain_entry, explain_wallet
from schemas.money import format_amount
from tests.support.explanations import assert_minimal
from tests.support.history import HistoryBuilder
from tests.support.random_history import STEPS, Step, take_step, wallet_name

# each entry is explained once more for each entry of its chain
costly = settings(max_examples=60, deadline=None)


def lived_through(steps):
    """As an engine does it: what has run out expires before each command."""
    builder = HistoryBuilder()
    for wallet in range(2):
        take_step(builder, Step("create", wallet))
    for step in steps:
        builder.expire(wallet_name(0, step.wallet))
        take_step(builder, step)
    return builder


def of(history, wallet_id):
    return [entry for entry in history.entries if entry.wallet_id == wallet_id]


@costly
@given(STEPS)
def test_every_entry_is_explained_by_a_minimal_chain(steps):
    history = lived_through(steps)
    for subject in history.entries:
        entries = of(history, subject.wallet_id)

        explanation = explain_entry(entries, subject)

        assert_minimal(explanation, lambda chain, subject=subject: explain_entry(chain, subject))


@costly
@given(STEPS)
def test_every_balance_is_explained_by_a_minimal_chain(steps):
    history = lived_through(steps)
    for wallet_id, wallet in history.wallets.items():
        now = min((lot.expires_at for lot in wallet.lots if lot.expires_at), default=history.now)
        live = [lot for lot in wallet.lots if lot.expires_at is None or lot.expires_at > now]

        explanation = explain_wallet(of(history, wallet_id), wallet_id, now)

        balance = sum(lot.remaining for lot in live) - wallet.owed
        shown = format_amount(balance, wallet.currency)
        assert explanation.conclusion == f"the balance is {shown}"
        assert_minimal(
            explanation,
            lambda chain, wallet_id=wallet_id, now=now: explain_wallet(chain, wallet_id, now),
        )
