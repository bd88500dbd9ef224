"""Errors of the write side.

EngineError
├── SetupError            the process cannot start as things are; a person has to act
│   ├── PartitionsChangedError
│   └── EditedMigrationError, MigrationFailedError, TableInUseError    in engine.migrate
├── TopicsNotCreatedError                               in engine.topics
├── ShardHaltedError      one shard cannot go on as things are; a person has to act
├── LeaseLostError        another worker has claimed the shard; this one wrote nothing
├── ClockRefusedError     the engine's clock and the database's are too far apart; nothing was written
├── DataRefusedError      the database will not take an entry, whoever sends it
│   └── AlreadyRecordedError  because the log has one of its ids, most likely a repeat's
├── RepeatsUnknownError   a command broke the decider before the log was asked whether it is a repeat
├── OutcomeMissingError   a decided command has no outcome; in engine.receipts
├── EntryUnreadableError, HistoryBrokenError            in engine.replay
├── RollForwardError      and what is below it, in engine.rollforward.errors
└── MerkleError           and what is below it, in engine.merkle.errors

HistoryError (ValueError), in engine.wallet, is of the pure core: an event that cannot follow.
"""


class EngineError(Exception):
    """Every error of the write side; `code` is stable, the text says what to do next."""

    code = "engine_error"


class SetupError(EngineError):
    """The process cannot start as things are."""

    code = "setup"


class PartitionsChangedError(SetupError):
    """The commands topic has another number of partitions than the log has shards."""

    code = "partitions_changed"


class ShardHaltedError(EngineError):
    """The shard stops and is not claimed again by this process until it is assigned anew."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LeaseLostError(EngineError):
    """The fence matched no row, because the shard's lease is another one now."""

    code = "lease_lost"


class ClockRefusedError(EngineError):
    """The fence matched no row, because `now` is too far from the database's clock."""

    code = "clock_refused"


class DataRefusedError(EngineError):
    """SQLSTATE class 22, 23 or 54: trying again cannot help, so the offender is looked for."""

    code = "data_refused"


class RepeatsUnknownError(EngineError):
    """Ask the log for the batch's command ids, then decide it again."""

    code = "repeats_unknown"


class AlreadyRecordedError(DataRefusedError):
    """The log holds one of the ids already: most likely the batch was decided without looking."""

    code = "already_recorded"
