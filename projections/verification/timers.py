"""Does every lot that will expire stand in the table that the timers work off?"""

from collections.abc import Mapping

from asyncpg import Connection

from engine.wallet import Wallet
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard
from projections.verification.queries import QUERIES


async def check_timers(
    connection: Connection,
    findings: Findings,
    frozen: FrozenShard,
    wallets: Mapping[str, Wallet],
) -> None:
    """Compares the live lots of `wallets`, which are at the frozen size, with the frozen timers."""
    for wallet_id, wallet in wallets.items():
        for lot in wallet.lots:
            if lot.expires_at is None:
                continue
            findings.checked("timers")
            if (wallet_id, lot.expires_at) not in frozen.due:
                position = await connection.fetchval(
                    QUERIES["position_of_version"], frozen.shard, wallet_id, lot.id
                )
                findings.report(
                    "timers",
                    f"lot {lot.id} of wallet {wallet_id} runs out at {lot.expires_at}, and no "
                    "timer stands for it: its expiry would stay unseen until the next command",
                    shard=frozen.shard,
                    position=position,
                )
