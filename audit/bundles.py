"""The file of a bundle: one wallet's entries, a proof for each, and the program that checks them.

    bundle.json       whose entries these are, of which checkpoint, and the proof of its account
    entries.jsonl     the entries' own bytes, a line each, in the order of the log
    proofs.jsonl      a line for each entry: the inclusion proof's hashes, base64, lowest first
    verify_bundle.py  checks the rest; needs Python alone

The same entries and proofs make the same file, byte for byte.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from msgspec import Struct

from audit.base64_text import to_base64
from audit.errors import BundleError, BundleTooLargeError
from audit.verify_bundle import FORMAT
from projections.wallet_trees import WalletProof
from schemas.instants import to_text

VERIFIER: Final = Path(__file__).with_name("verify_bundle.py")
FILE_BYTES_MAX: Final = 2**31 - 1
"""Of one file in the bundle, before it is compressed: what every zip program reads."""

_PROOFS_IN_MEMORY_BYTES: Final = 8 << 20
_READABLE: Final = 0o644 << 16


class Period(Struct, frozen=True):
    """From `start` on, and before `end`; None is as far as the history goes."""

    start: datetime | None = None
    end: datetime | None = None


class BundleWriter:
    """Takes entries and their proofs in order; all of it is there once the block ends.

    with BundleWriter.open(path, account, Period()) as bundle:
        bundle.add(entry_bytes, proof)
    """

    def __init__(self, entries: IO[bytes], proofs: IO[bytes]) -> None:
        self._entries = entries
        self._proofs = proofs
        self._entries_bytes = 0
        self._proofs_bytes = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, account: WalletProof, period: Period) -> Iterator[Self]:
        """The file is there whole, or what was in its place before; raises BundleError."""
        if path.exists() and not path.is_file():
            # a device would be replaced as well
            raise BundleError(f"The bundle can't be written to {path}: it is there, and no file.")
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with ZipFile(new, "w") as archive, _spooled() as proofs:
                archive.writestr(_file("bundle.json"), _header(account, period))
                with archive.open(_file("entries.jsonl"), "w") as entries:
                    yield cls(entries, proofs)
                proofs.seek(0)
                with archive.open(_file("proofs.jsonl"), "w") as file:
                    while part := proofs.read(_PROOFS_IN_MEMORY_BYTES):
                        file.write(part)
                archive.writestr(_file(VERIFIER.name), VERIFIER.read_bytes())
            new.replace(path)
        except OSError as error:
            raise BundleError(
                f"The bundle can't be written to {path}: {error.strerror or error}."
            ) from error
        finally:
            new.unlink(missing_ok=True)

    def add(self, entry: bytes, proof: Sequence[bytes]) -> None:
        """One entry's bytes, and the hashes of its proof; raises BundleTooLargeError."""
        line = _line([to_base64(sibling) for sibling in proof])
        self._entries_bytes += len(entry) + 1
        self._proofs_bytes += len(line)
        if max(self._entries_bytes, self._proofs_bytes) > FILE_BYTES_MAX:
            raise BundleTooLargeError(
                f"A bundle's files have at most {FILE_BYTES_MAX} bytes, and these entries need "
                "more: make several with --from and --to, each for a part of the time."
            )
        self._entries.write(entry + b"\n")
        self._proofs.write(line)


def _header(account: WalletProof, period: Period) -> bytes:
    return _line(
        {
            "format": FORMAT,
            "wallet_id": account.leaf.wallet_id,
            "shard": account.tree.shard,
            "size": account.tree.size,
            "from": None if period.start is None else to_text(period.start),
            "to": None if period.end is None else to_text(period.end),
            "account": {
                "last_version": account.leaf.version,
                "entries": account.leaf.entries,
                "index": account.index,
                "proof": [to_base64(sibling) for sibling in account.proof],
            },
        }
    )


def _line(document: object) -> bytes:
    # as the verifier writes it, to see that there is nothing else in it
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _file(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    info.external_attr = _READABLE
    return info


def _spooled() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_PROOFS_IN_MEMORY_BYTES)
