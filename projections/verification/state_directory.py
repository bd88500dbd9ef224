"""Where an interrupted verification is taken up: a file for each shard, and one for the run.

The run's file says what was asked for. Whoever goes on has to ask for the same, of the same
database. Once the proof is there the files are gone.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from asyncpg import Connection
from msgspec import Struct

from projections.verification.errors import VerificationError
from projections.verification.signed import SignedShard

_RUN: Final = "run.json"
_REVISION: Final = 2
"""To be raised when what a shard's file holds changes its shape."""

_DATABASE: Final = """
SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid
  FROM pg_database WHERE datname = current_database()
"""


class Run(Struct, frozen=True, kw_only=True):
    """What was asked for. `instant` is when, less what may still be on its way."""

    revision: int = _REVISION
    database: str
    shards: list[int]
    kafka: bool
    signed: list[SignedShard]
    instant: datetime


async def identify(connection: Connection) -> str:
    """Names the database that the connection leads to."""
    name: str = await connection.fetchval(_DATABASE)
    return name


class StateDirectory:
    """The files of one run in a directory, which is made if it isn't there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def enter(self, asked: Run) -> Run:
        """The run that is to be gone on with, or this one if none was begun.

        Raises VerificationError if another one was.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            begun = self._begun()
            if begun is None:
                new = self._run.with_suffix(".new")
                new.write_bytes(msgspec.json.encode(asked))
                new.replace(self._run)
                return asked
        except OSError as error:
            raise VerificationError(
                f"The state directory {self._path} can't be used ({error.strerror}): name another."
            ) from error
        if msgspec.structs.replace(begun, instant=asked.instant) != asked:
            raise VerificationError(
                f"In {self._path} another verification was begun: of other shards, checkpoints or "
                "topics, another database, or by another release. Ask for the same as then, name "
                "another directory, or empty this one to begin anew."
            )
        return begun

    def file(self, shard: int) -> Path:
        """Where what was done for a shard is found again."""
        return self._path / f"shard-{shard:04}.sqlite"

    def leave(self, run: Run) -> None:
        """The proof is there: delete what was needed to come to it."""
        for shard in run.shards:
            self.file(shard).unlink(missing_ok=True)
        self._run.unlink(missing_ok=True)

    @property
    def _run(self) -> Path:
        return self._path / _RUN

    def _begun(self) -> Run | None:
        try:
            return msgspec.json.decode(self._run.read_bytes(), type=Run)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise VerificationError(
                f"{self._run} is not from a verification ({error}): name another directory."
            ) from None
