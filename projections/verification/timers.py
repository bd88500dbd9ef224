"""Does every lot that will expire stand in the table that the timers work off?"""

from collections.abc import Iterable

from asyncpg import Connection

from engine.wallet import Wallet
from projections.spool import SpooledRows
from projections.verification.findings import Findings
from projections.verification.queries import QUERIES
from schemas.instants import to_microseconds


async def check_timers(
    connection: Connection,
    findings: Findings,
    shard: int,
    due: SpooledRows,
    wallets: Iterable[tuple[str, Wallet]],
) -> None:
    """Compares the live lots of `wallets`, which are at the frozen size, with the frozen timers."""
    for wallet_id, wallet in wallets:
        for lot in wallet.lots:
            if lot.expires_at is None:
                continue
            findings.checked("timers")
            if due.get(wallet_id, to_microseconds(lot.expires_at)) is None:
                position = await connection.fetchval(
                    QUERIES["position_of_version"], shard, wallet_id, lot.id
                )
                findings.report(
                    "timers",
                    f"lot {lot.id} of wallet {wallet_id} runs out at {lot.expires_at}, and no "
                    "timer stands for it: its expiry would stay unseen until the next command",
                    shard=shard,
                    position=position,
                )
