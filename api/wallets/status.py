"""Status: freezing, unfreezing and closing wallets."""

from api.calls import Call
from api.services import Services
from api.wallets.outcomes import accepted
from schemas.commands import Close, Freeze, Unfreeze
from schemas.resources import Wallet


async def freeze_wallet(services: Services, call: Call) -> Wallet:
    """Block what takes money out."""
    return await _changed(services, call, Freeze)


async def unfreeze_wallet(services: Services, call: Call) -> Wallet:
    """Allow debits again."""
    return await _changed(services, call, Unfreeze)


async def close_wallet(services: Services, call: Call) -> Wallet:
    """Close for ever; what is left is written off."""
    return await _changed(services, call, Close)


async def _changed(
    services: Services, call: Call, kind: type[Freeze | Unfreeze | Close]
) -> Wallet:
    command = kind(
        wallet_id=call.path["wallet_id"],
        reference=f"api_{call.effect_id}",
        merchant_id=call.owner.merchant_id,
        environment=call.owner.environment,
    )
    await accepted(services, call, command)
    return await services.reads.wallet(call.owner, command.wallet_id, call.deadline)
