"""Why a log can't be rolled forward as things are; nothing is written where one of these is raised.

RollForwardError
├── EnginesRunningError   an engine could append meanwhile
├── TopicTooShortError    a topic no longer has what would be needed
├── HistoryForkedError    the topic and the log, or two records of the topic, differ at a position
├── EntryRefusedError     a record is no entry that can stand at its position
├── LogDamagedError       the restored log has holes, or is not what its Merkle tree says
└── ShardMovedError       the shard, or the topic, changed while it was rolled forward
"""

from engine.errors import EngineError


class RollForwardError(EngineError):
    """The root; the text says what was found where, and what to do."""

    code = "roll_forward_refused"


class EnginesRunningError(RollForwardError):
    """An engine is a member of the group, or is connected to the database."""

    code = "engines_running"


class TopicTooShortError(RollForwardError):
    """Records that were needed have been deleted."""

    code = "topic_too_short"


class HistoryForkedError(RollForwardError):
    """One position, two entries."""

    code = "history_forked"


class EntryRefusedError(RollForwardError):
    """A record of the events topic is not what an engine publishes at its place."""

    code = "entry_refused"


class LogDamagedError(RollForwardError):
    """The log that was restored is not whole, or not the one its shard's row tells of."""

    code = "log_damaged"


class ShardMovedError(RollForwardError):
    """Somebody else was at work meanwhile."""

    code = "shard_moved"
