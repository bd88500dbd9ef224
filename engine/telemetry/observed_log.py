"""A shard's log whose claims, appends and look-ups are counted and timed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from engine.errors import (
    AlreadyRecordedError,
    ClockRefusedError,
    DataRefusedError,
    LeaseLostError,
)
from engine.log import Append, LoadedWallet, ShardLog, ShardRow
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.telemetry.metrics import EngineMetrics


class ObservedLog(ShardLog):
    """Does what a ShardLog does, and tells `metrics` of it."""

    metrics: "EngineMetrics"

    @classmethod
    async def open(cls, shard: int, settings: Settings, metrics: "EngineMetrics") -> ShardLog:
        log = await cls.connect(shard, settings)
        log.metrics = metrics
        return log

    @override
    async def claim(self, owner: str) -> ShardRow:
        row = await super().claim(owner)
        self.metrics.claimed(row)
        return row

    @override
    async def append(self, batch: Append) -> None:
        try:
            with self.metrics.stage("append"):
                await super().append(batch)
        except LeaseLostError:
            self.metrics.fence_lost()
            raise
        except ClockRefusedError:
            self.metrics.append_refused("clock")
            raise
        except AlreadyRecordedError:
            self.metrics.append_refused("repeat")
            raise
        except DataRefusedError:
            self.metrics.append_refused("data")
            raise
        self.metrics.appended(self.shard, batch)

    @override
    async def find_outcomes(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        with self.metrics.stage("look_up"):
            return await super().find_outcomes(ids)

    @override
    async def load_wallets(self, wallet_ids: Sequence[str]) -> dict[str, LoadedWallet]:
        with self.metrics.stage("look_up"):
            return await super().load_wallets(wallet_ids)

    @override
    async def halt(self, reason: str) -> None:
        self.metrics.halted(self.shard, reason.partition(":")[0])
        await super().halt(reason)

    @override
    def close(self) -> None:
        self.metrics.released(self.shard)
        super().close()
