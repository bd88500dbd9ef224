"""Carrying one command: sent, waited for, and never lied about."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from aiokafka.errors import KafkaError

from api.errors import (
    CommandSetAsideError,
    InvalidBodyError,
    OutcomeUnknownError,
    UnexpectedError,
)
from api.gateway.outcomes import OutcomeWatch
from api.gateway.producing import CommandProducer, Headers
from engine.errors import EngineError
from engine.receipts import Accepted, DeadLettered, Outcome, Receipt, Rejected
from engine.settings import Settings
from projections.listening import Listener
from schemas.commands import AnyCommand, InvalidCommandError, decode_command, encode_command

SET_ASIDE_FOR: Final = timedelta(hours=1)
"""How long a command that was set aside is left alone: each time that it is sent makes one more dead
letter of it, until what is behind it has been mended."""

_log = logging.getLogger(__name__)


class Gateway:
    """Carries commands to the engine, and brings back what became of them."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._producer = CommandProducer(settings)
        self._outcomes = OutcomeWatch(settings, listener)

    async def run(self) -> None:
        """Stay connected to Kafka and the database, until cancelled; takes a second or two then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._producer.run())
            group.create_task(self._outcomes.run())

    async def carry(self, command: AnyCommand, deadline: float) -> Accepted | Rejected:
        """Send the command and wait for its outcome, until `deadline` of the loop's clock.

        Raises OutcomeUnknownError when there is none by then, or Kafka does not take the command;
        CommandSetAsideError when the engine could make nothing of it; InvalidBodyError before
        anything is sent if the engine would not read it.
        """
        payload = encode_command(command)
        try:
            as_read = decode_command(payload)
        except InvalidCommandError as error:
            raise InvalidBodyError(str(error)) from None
        try:
            async with asyncio.timeout_at(deadline):
                receipt = await self._send(as_read, payload)
                return _told(receipt, await self._outcomes.of(receipt))
        except TimeoutError:
            _log.warning("%s: no outcome by the deadline", _name(command))
        except KafkaError as error:
            _log.warning("%s: Kafka did not take it: %r", _name(command), error)
        except EngineError as error:
            _log.error("%s: %s", _name(command), error)
            raise UnexpectedError from error
        raise OutcomeUnknownError

    async def _send(
        self, command: AnyCommand, payload: bytes, headers: Headers | None = None
    ) -> Receipt:
        place = await self._producer.send(command.wallet_id, payload, headers)
        return Receipt(command, *place)


def _told(receipt: Receipt, outcome: Outcome) -> Accepted | Rejected:
    if isinstance(outcome, DeadLettered):
        _log.error(
            "%s is a dead letter of shard %d at offset %d (%s): %s",
            _name(receipt.command),
            outcome.shard,
            outcome.offset,
            outcome.reason,
            outcome.detail,
        )
        raise CommandSetAsideError
    return outcome


def _name(command: AnyCommand | None) -> str:
    if command is None:
        return "a record without a command"
    return f"{type(command).__name__} {command.reference!r} of {command.wallet_id}"
