"""What a command can end with, each one line for the terminal and an exit status.

CommandError                  exit status 1
├── DatabaseUnreachableError  PostgreSQL does not answer, or refuses us
├── NotMigratedError          the database has no tables of ours
├── KafkaUnreachableError     no broker answers
├── TopicMissingError         the topic does not exist
├── UnknownWalletError        the log knows no such wallet
├── UnknownMerchantError      there is no such merchant
├── UnknownKeyError           there is no such key
├── KeyEndedError             the key is good for nothing any more
├── UnknownDeadLetterError    nothing was set aside at that place
├── AlreadySettledError       the dead letter has been retried or discarded before
├── NotResendableError        the dead letter can't be sent again
├── SendFailedError           Kafka refused records
├── NoOutcomeError            no outcome came in time
├── OutputLostError           standard output can't be written
├── PortTakenError            another program listens on the port
├── StackMissingError         the embedded stack's packages are not installed
├── NotReadyError             the processes run, but the service is not there in time
├── DemoFailedError           the demo did not come out as it has to
└── UsageMistakeError         exit status 2: an argument can't be understood
"""

from typing import ClassVar


class CommandError(Exception):
    """The root of this package's errors. The text says what to do next."""

    code: ClassVar[str] = "command_failed"
    exit_status: ClassVar[int] = 1


class UsageMistakeError(CommandError):
    """An argument can't be understood."""

    code = "usage"
    exit_status = 2


class DatabaseUnreachableError(CommandError):
    """PostgreSQL does not answer, or refuses us."""

    code = "database_unreachable"


class NotMigratedError(CommandError):
    """The database has no tables of ours."""

    code = "not_migrated"


class KafkaUnreachableError(CommandError):
    """No broker answers."""

    code = "kafka_unreachable"


class TopicMissingError(CommandError):
    """The topic does not exist."""

    code = "topic_missing"


class UnknownWalletError(CommandError):
    """The log knows no such wallet."""

    code = "unknown_wallet"


class UnknownMerchantError(CommandError):
    """There is no such merchant."""

    code = "unknown_merchant"


class UnknownKeyError(CommandError):
    """There is no such key."""

    code = "unknown_key"


class KeyEndedError(CommandError):
    """The key is good for nothing any more: it was revoked, or has expired."""

    code = "key_ended"


class UnknownDeadLetterError(CommandError):
    """Nothing was set aside at that place."""

    code = "unknown_dead_letter"


class AlreadySettledError(CommandError):
    """The dead letter has been retried or discarded before."""

    code = "already_settled"


class NotResendableError(CommandError):
    """The dead letter can't be sent again."""

    code = "not_resendable"


class SendFailedError(CommandError):
    """Kafka refused records."""

    code = "send_failed"


class NoOutcomeError(CommandError):
    """No outcome came in time."""

    code = "no_outcome"


class OutputLostError(CommandError):
    """Standard output can't be written, as on a full disk."""

    code = "output_lost"


class PortTakenError(CommandError):
    """Another program listens on the port."""

    code = "port_taken"


class StackMissingError(CommandError):
    """The embedded stack's packages are not installed."""

    code = "stack_missing"


class NotReadyError(CommandError):
    """The processes run, but the service is not there in time."""

    code = "not_ready"


class DemoFailedError(CommandError):
    """The demo did not come out as it has to."""

    code = "demo_failed"
