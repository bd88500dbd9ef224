"""What stands in consumed records: commands of this shard, strays, and what is no command."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

from engine.log import DeadLetterRow
from engine.topology import home
from schemas.commands import AnyCommand, InvalidCommandError, decode_command
from schemas.digests import body_digest, command_id, conflict_id

FORWARDED_HEADER: Final = "wallet-forwarded-from"
_DETAIL_CHARACTERS_MAX: Final = 1_000


class Record(Protocol):
    """What is read of a consumed record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Received(Struct, frozen=True, gc=False):
    """A command at its place, with its id and the digest of its body."""

    offset: int
    command: AnyCommand
    command_id: bytes
    body: bytes
    key: bytes | None
    payload: bytes

    @property
    def conflict_id(self) -> bytes:
        """Names the refusal of this body under this reference."""
        return conflict_id(self.command_id, self.body)


class Stray(Struct, frozen=True):
    """A command that belongs into another partition."""

    offset: int
    home: int
    wallet_id: str
    payload: bytes


class Intake(Struct):
    """The records of a batch, sorted by what becomes of them."""

    commands: list[Received] = []
    strays: list[Stray] = []
    dead_letters: list[DeadLetterRow] = []


def take_in(records: Iterable[Record], shard: int, partitions: int) -> Intake:
    """Decode the records of partition `shard`; never raises for what a sender can write."""
    intake = Intake()
    for record in records:
        payload = record.value
        try:
            command = decode_command(payload)
        except InvalidCommandError as error:
            intake.dead_letters.append(dead_letter(record, error.reason, str(error)))
            continue
        if payload is None:
            raise AssertionError("a command was read from no payload")
        wallet_id = command.wallet_id
        at_home = home(wallet_id, partitions)
        if at_home != shard:
            _stray(record, Stray(record.offset, at_home, wallet_id, payload), intake)
            continue
        identity = command_id(wallet_id, command.reference)
        body = body_digest(command)
        intake.commands.append(
            Received(
                record.offset,
                command,
                identity,
                body,
                record.key,
                payload,
            )
        )
    return intake


def _stray(record: Record, stray: Stray, intake: Intake) -> None:
    if any(name == FORWARDED_HEADER for name, _ in record.headers):
        detail = f"Forwarded here already, but {stray.wallet_id} is at home in {stray.home}."
        intake.dead_letters.append(dead_letter(record, "misrouted", detail))
    else:
        intake.strays.append(stray)


def dead_letter(record: Record, reason: str, detail: str) -> DeadLetterRow:
    """The record as a dead letter, with all its bytes."""
    return DeadLetterRow(
        offset=record.offset,
        reason=reason,
        detail=clean_detail(detail),
        key=record.key,
        payload=record.value,
    )


def clean_detail(detail: str) -> str:
    """`detail` as the database can keep it: no NUL, no lone surrogate, not endless."""
    text = detail[:_DETAIL_CHARACTERS_MAX].replace("\0", "\\0")
    return text.encode("utf-8", "backslashreplace").decode()


def record_digest(record: Record) -> bytes:
    """Names a record among all that may ever stand at its offset."""
    digest = blake2b(digest_size=16, person=b"wallet.record")
    digest.update(b"%d:%d:" % (record.offset, record.timestamp))
    for part in (record.key, record.value):
        digest.update(b"-:" if part is None else b"%d:" % len(part))
        digest.update(part or b"")
    return digest.digest()
