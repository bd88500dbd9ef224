"""Operations: everything that the API can be asked for."""

from typing import Final

from api.calls import Operation
from api.wallets.operations import WALLET_OPERATIONS

OPERATIONS: Final[tuple[Operation, ...]] = (*WALLET_OPERATIONS,)
