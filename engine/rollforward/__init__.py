"""Rolling a restored log forward: what was published after the restored point is appended again.

    async with RollForward.connect(settings) as service:
        for plan in await service.examine(None, on_progress):  # checks all, writes nothing
            await service.roll_forward(plan, on_progress)  # the same bytes, the same positions

After it the engines go on at the restored offset. They find the outcomes of what was published
under the commands' ids, and decide the rest anew.
"""

from engine.rollforward.errors import (
    EnginesRunningError,
    EntryRefusedError,
    HistoryForkedError,
    LogDamagedError,
    RollForwardError,
    ShardMovedError,
    TopicTooShortError,
)
from engine.rollforward.examination import ShardPlan
from engine.rollforward.service import RollForward

__all__ = [
    "EnginesRunningError",
    "EntryRefusedError",
    "HistoryForkedError",
    "LogDamagedError",
    "RollForward",
    "RollForwardError",
    "ShardMovedError",
    "ShardPlan",
    "TopicTooShortError",
]
