"""What a checkpoint file says of one shard, without a look at its signatures.

Whoever makes a bundle needs no key: its proofs have to lead to these roots, and whether they are
the signer's is for the auditor to check.
"""

import base64
import binascii
from pathlib import Path

from audit.checkpoint_files import FILE_BYTES_MAX
from audit.checkpoints import ShardCheckpoint, split_notes
from audit.errors import CheckpointError, CheckpointMalformedError
from audit.notes import parse_note
from engine.merkle import HASH_BYTES


def read_tree_heads(path: Path, shard: int) -> ShardCheckpoint:
    """The shard's two trees; raises CheckpointError or NoteMalformedError."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode()
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}): name the auditor's checkpoint with "
            "--checkpoint, or make one with `wallet checkpoint`."
        ) from None
    except UnicodeDecodeError:
        raise CheckpointMalformedError(f"{path} is no checkpoint file: it is not text.") from None
    log_size, log_root = _head(path, text, f"/shard/{shard}/log")
    wallets, wallets_root = _head(path, text, f"/shard/{shard}/wallets/{log_size}")
    return ShardCheckpoint(shard, log_size, log_root, wallets, wallets_root)


def _head(path: Path, text: str, end_of_origin: str) -> tuple[int, bytes]:
    for note in split_notes(text):
        origin, size, root = [*parse_note(note).text.split("\n"), "", ""][:3]
        if origin.endswith(end_of_origin) and size.isdecimal():
            return int(size), _hash(path, root)
    raise CheckpointMalformedError(
        f"{path} has no note of …{end_of_origin}: is it a checkpoint of this service, as "
        "`wallet checkpoint` wrote it?"
    )


def _hash(path: Path, encoded: str) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != HASH_BYTES:
        raise CheckpointMalformedError(f"{path} has a note without a root: {encoded[:60]!r}.")
    return decoded
