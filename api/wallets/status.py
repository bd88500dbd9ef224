"""Status: freezing, unfreezing and closing wallets."""

import asyncio

from api.calls import Call
from api.errors import OutcomeUnknownError, ResourceMissingError
from api.services import Services
from api.wallets.outcomes import accepted
from engine.receipts import Accepted
from projections.queries import WALLET_MODELS
from projections.waiting import Place
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
    return await _shown(services, call, await accepted(services, call, command))


async def _shown(services: Services, call: Call, outcome: Accepted) -> Wallet:
    """The wallet, once the read models have what was just decided."""
    entry = outcome.entry
    if entry.offset is None:
        raise TypeError(f"entry {entry.position} of shard {entry.shard} came from no command")
    reads = services.reads
    try:
        async with asyncio.timeout_at(call.deadline):
            await reads.watch.wait_until_shown(Place(entry.shard, entry.offset), WALLET_MODELS)
            wallet = await reads.models.wallet(call.owner, entry.wallet_id, reads.clock())
    except TimeoutError:
        raise OutcomeUnknownError from None
    if wallet is None:
        raise ResourceMissingError("wallet", entry.wallet_id)
    return wallet
