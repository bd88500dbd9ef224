"""Operations: everything that the API can be asked for."""

from typing import Final

from api.calls import Operation
from api.customers.operations import CUSTOMER_OPERATIONS
from api.topups.operations import TOPUP_OPERATIONS
from api.wallets.operations import WALLET_OPERATIONS

OPERATIONS: Final[tuple[Operation, ...]] = (
    *CUSTOMER_OPERATIONS,
    *WALLET_OPERATIONS,
    *TOPUP_OPERATIONS,
)
