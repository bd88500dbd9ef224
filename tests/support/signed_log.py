"""A shard's log under a signed checkpoint, and bundles out of it, made without a database.

    log = SignedLog.of(history)
    log.write(tmp_path / "bundle.zip", log.bundle("wal_a"))

Proofs come from the definition of the tree, not from the engine's code, and nothing here minds
whether what it signs makes sense: `SignedLog` of entries that were tampered with is a signer that
lies.
"""

import base64
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from audit.bundles import VERIFIER
from audit.checkpoints import ShardCheckpoint, write_checkpoints
from audit.keys import SigningKey
from audit.verify_bundle import FORMAT, read_key, verify
from schemas.entries import encode_entry
from tests.merkle_oracle import Oracle
from tests.support.history import HistoryBuilder

KEY = SigningKey("wallets.example.com", bytes(range(32)))

Files = dict[str, bytes]


@dataclass
class SignedLog:
    """Entries of one shard by position, and the leaves of its wallets' tree."""

    entries: list[bytes]
    leaves: list[tuple[str, int, int]]
    shard: int = 0
    key: SigningKey = KEY

    @classmethod
    def of(cls, history: HistoryBuilder, size: int | None = None) -> Self:
        return cls.signing([encode_entry(e) for e in history.entries[:size]], history.shard)

    @classmethod
    def signing(cls, entries: Iterable[bytes], shard: int = 0) -> Self:
        """Whatever the entries say, their wallets counted rightly."""
        kept = list(entries)
        documents = [json.loads(data) for data in kept]
        counted = []
        for wallet in sorted({document["wallet_id"] for document in documents}):
            versions = [d["version"] for d in documents if d["wallet_id"] == wallet]
            counted.append((wallet, max((v for v in versions if v), default=0), len(versions)))
        return cls(kept, counted, shard)

    @property
    def checkpoint(self) -> bytes:
        trees = ShardCheckpoint(
            self.shard,
            len(self.entries),
            self.log().root(0, len(self.entries)),
            len(self.leaves),
            self.wallets().root(0, len(self.leaves)),
        )
        return write_checkpoints([trees], self.key).encode()

    def bundle(self, wallet: str, start: str | None = None, end: str | None = None) -> Files:
        """The files of an honest bundle; times as text."""
        (index,) = [n for n, leaf in enumerate(self.leaves) if leaf[0] == wallet]
        _, version, count = self.leaves[index]
        header = {
            "format": FORMAT,
            "wallet_id": wallet,
            "shard": self.shard,
            "size": len(self.entries),
            "from": start,
            "to": end,
            "account": {
                "last_version": version,
                "entries": count,
                "index": index,
                "proof": _texts(self.wallets().path(index, 0, len(self.leaves))),
            },
        }
        chosen = _chosen(self.positions(wallet), self.entries, start, end)
        return {
            "bundle.json": line(header),
            "entries.jsonl": b"".join(self.entries[n] + b"\n" for n in chosen),
            "proofs.jsonl": b"".join(self.proof_line(n) for n in chosen),
            "verify_bundle.py": VERIFIER.read_bytes(),
        }

    def positions(self, wallet: str) -> list[int]:
        return [n for n, d in enumerate(self.entries) if json.loads(d)["wallet_id"] == wallet]

    def proof_line(self, position: int) -> bytes:
        return line(_texts(self.log().path(position, 0, len(self.entries))))

    def log(self) -> Oracle:
        return Oracle(self.entries)

    def wallets(self) -> Oracle:
        return Oracle([line(list(leaf)).rstrip() for leaf in self.leaves])


def _chosen(
    positions: list[int], entries: list[bytes], start: str | None, end: str | None
) -> list[int]:
    documents = [(n, json.loads(entries[n])) for n in positions]
    inside = [n for n, d in documents if (start or "") <= d["occurred_at"] < (end or "~")]
    early = [n for n, d in documents if d["version"] and d["occurred_at"] < (start or "")]
    late = [n for n, d in documents if d["version"] and d["occurred_at"] >= (end or "~")]
    return [*early[-1:], *inside, *late[:1]]


def zipped(path: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Path:
    """A zip of these files; names may stand twice."""
    pairs = files.items() if isinstance(files, Mapping) else files
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in pairs:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def checked(path: Path, checkpoint: bytes, key: str = str(KEY.verifier)) -> dict[str, Any]:
    """What the verifier makes of a bundle; raises RefusedError."""
    return verify(path, checkpoint, read_key(key))


def line(document: object) -> bytes:
    """As bundles have it."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _texts(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(data).decode() for data in hashes]
