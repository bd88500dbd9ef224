"""Why an entry, or a balance, is what it is: the fewest entries that it follows from."""

from audit.explanation.explaining import (
    BalanceExplainer,
    EntryExplainer,
    explain_entry,
    explain_wallet,
)
from audit.explanation.reasons import Explanation, Reason, public_id

__all__ = [
    "BalanceExplainer",
    "EntryExplainer",
    "Explanation",
    "Reason",
    "explain_entry",
    "explain_wallet",
    "public_id",
]
