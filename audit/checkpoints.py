"""Checkpoints (C2SP tlog-checkpoint): the size and root of a tree, as a signed note.

Each shard has two trees, and each tree an origin of its own, under the name of the service's key:

    NAME/shard/3/log              the log: leaf n is entry n
    NAME/shard/3/wallets/20852    the wallets of its first 20852 entries, see `WalletLeaf`

A log only grows, so its origin is the same for ever, and its checkpoints have to be consistent.
The tree of wallets is another one at each size of the log, so that size is part of its origin:
that way it is signed too, and no origin ever has two trees.

A note is signed under its origin as the key's name, as tools for such logs expect; the public key
is the same for all, so an auditor needs one verifier key.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from audit.base64_text import from_base64, to_base64
from audit.errors import CheckpointMalformedError
from audit.keys import SigningKey, VerifierKey
from audit.notes import parse_note, sign, verified_text
from engine.merkle import HASH_BYTES

_SIZE_DIGITS_MAX: Final = 18
_SHARD_DIGITS_MAX: Final = 9


class Checkpoint(Struct, frozen=True):
    """A tree's size in leaves and its root, 32 bytes."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


class ShardCheckpoint(Struct, frozen=True):
    """One shard at one size: its log, and the wallets of that log. Roots are 32 bytes."""

    shard: int
    size: int
    log_root: bytes
    wallets: int
    wallets_root: bytes

    def trees(self, name: str) -> tuple[Checkpoint, Checkpoint]:
        """The checkpoints of its log and of its wallets."""
        return (
            Checkpoint(log_origin(name, self.shard), self.size, self.log_root),
            Checkpoint(
                wallets_origin(name, self.shard, self.size), self.wallets, self.wallets_root
            ),
        )


def log_origin(name: str, shard: int) -> str:
    """What the tree of a shard's log is called."""
    return f"{name}/shard/{shard}/log"


def wallets_origin(name: str, shard: int, size: int) -> str:
    """What the tree of the wallets in the first `size` entries of a shard is called."""
    return f"{name}/shard/{shard}/wallets/{size}"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The signed note."""
    return sign(checkpoint.text(), key.under(checkpoint.origin))


def parse_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """What the note says, once its signature is verified under its own origin.

    Lines after the third are allowed, as by the specification, and passed over. Raises
    CheckpointMalformedError, NoteMalformedError or SignatureError.
    """
    origin = note.partition("\n")[0]
    if not origin.startswith(f"{key.name}/shard/"):
        raise CheckpointMalformedError(
            f"The note is of {origin[:100]!r}, which is no tree of {key.name}: is it the verifier "
            "key of the service that made the note?"
        )
    return parse_text(verified_text(note, key.under(origin)))


def parse_text(text: str) -> Checkpoint:
    """What a note's text says, whoever signed it; raises CheckpointMalformedError."""
    lines = text.removesuffix("\n").split("\n")
    origin = lines[0]
    size, root = (lines[1], from_base64(lines[2])) if len(lines) >= 3 else ("", b"")
    if not all(lines) or not _is_number(size, _SIZE_DIGITS_MAX) or len(root) != HASH_BYTES:
        raise CheckpointMalformedError(
            f"The note of {origin[:100]!r} is no checkpoint, which has an origin, a size and a "
            "root: take another file."
        )
    return Checkpoint(origin, int(size), root)


def write_checkpoints(shards: Iterable[ShardCheckpoint], key: SigningKey) -> str:
    """What a checkpoint file holds: the notes of every shard, an empty line between two notes."""
    return "\n".join(
        sign_checkpoint(tree, key) for shard in shards for tree in shard.trees(key.name)
    )


def read_checkpoints(text: str, key: VerifierKey) -> list[ShardCheckpoint]:
    """The shards in a checkpoint file, by number, every signature verified.

    Raises CheckpointMalformedError, NoteMalformedError or SignatureError.
    """
    trees = {}
    for note in split_notes(text):
        tree = parse_checkpoint(note, key)
        if tree.origin in trees:
            raise CheckpointMalformedError(
                f"The file has two notes of {tree.origin}: take a file as it was written."
            )
        trees[tree.origin] = tree
    return sorted(_pair(trees, key.name), key=lambda checkpoint: checkpoint.shard)


def unsigned_trees(text: str, shard: int) -> ShardCheckpoint:
    """What a checkpoint file says of one shard, without a look at its signatures.

    Whoever makes a bundle needs no key: its proofs have to lead to these roots, and whether they
    are the signer's is for the auditor to check. Raises CheckpointMalformedError or
    NoteMalformedError.
    """
    trees = [parse_text(parse_note(note).text) for note in split_notes(text)]
    log = _ending(trees, f"/shard/{shard}/log")
    wallets = _ending(trees, f"/shard/{shard}/wallets/{log.size}")
    return ShardCheckpoint(shard, log.size, log.root, wallets.size, wallets.root)


def split_notes(text: str) -> list[str]:
    """The notes of a file, each as it was signed; raises CheckpointMalformedError."""
    parts = text.removesuffix("\n").split("\n\n")
    if len(parts) % 2 or not all(parts):
        raise CheckpointMalformedError(
            "This is no file of checkpoints: it has to be signed notes with an empty line between "
            "them, as `wallet checkpoint` writes it. Was it cut, or changed by an editor?"
        )
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [f"{head}\n\n{signatures}\n" for head, signatures in pairs]


def _ending(trees: Iterable[Checkpoint], end_of_origin: str) -> Checkpoint:
    for tree in trees:
        if tree.origin.endswith(end_of_origin):
            return tree
    raise CheckpointMalformedError(
        f"The file has no note of …{end_of_origin}: is it a checkpoint of this service, as "
        "`wallet checkpoint` wrote it?"
    )


def _pair(trees: dict[str, Checkpoint], name: str) -> list[ShardCheckpoint]:
    pairs = []
    left = dict(trees)
    for tree in trees.values():
        shard = _shard_of_log(tree.origin, name)
        if shard is None:
            continue
        wallets = left.pop(wallets_origin(name, shard, tree.size), None)
        if wallets is None:
            raise CheckpointMalformedError(
                f"The file has no note of the wallets that belongs to {tree.origin} at size "
                f"{tree.size}: take a file as it was written."
            )
        del left[tree.origin]
        pairs.append(ShardCheckpoint(shard, tree.size, tree.root, wallets.size, wallets.root))
    if left:
        raise CheckpointMalformedError(
            f"The file has a note of {next(iter(left))}, which is no tree of {name}, or whose "
            "shard's log is missing: take a file as it was written."
        )
    return pairs


def _shard_of_log(origin: str, name: str) -> int | None:
    number = origin.removeprefix(f"{name}/shard/").removesuffix("/log")
    if not _is_number(number, _SHARD_DIGITS_MAX) or origin != log_origin(name, int(number)):
        return None
    return int(number)


def _is_number(text: str, digits_max: int) -> bool:
    plain = text.isascii() and text.isdecimal() and len(text) <= digits_max
    return plain and text == str(int(text))
