"""The merchant to try things with: made by the first start of `wallet dev` on a data directory."""

from typing import Final

from msgspec import Struct

from api.access.keys import NewKey, create_key, create_merchant, list_merchants
from api.secret_keys import SecretKeys
from cli.database import connected
from engine.settings import Settings

_NAME: Final = "Sandbox"
_CURRENCY: Final = "GHS"
_LABEL: Final = "made by wallet dev"


class SandboxMerchant(Struct, frozen=True, kw_only=True):
    """Who it is; `key` is for its sandbox, and there if both were made just now."""

    merchant_id: str
    key: NewKey | None


async def sandbox_merchant(settings: Settings) -> SandboxMerchant:
    """The first merchant of the database; it and a key of all scopes are made if there is none."""
    async with connected(settings) as connection, connection.transaction():
        merchants = await list_merchants(connection)
        if merchants:
            return SandboxMerchant(merchant_id=merchants[0].merchant_id, key=None)
        merchant_id = await create_merchant(connection, _NAME, _CURRENCY)
        key = await create_key(
            connection, SecretKeys.of(settings), merchant_id, "sandbox", label=_LABEL
        )
        return SandboxMerchant(merchant_id=merchant_id, key=key)
