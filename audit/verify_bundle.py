"""Check what a wallet's audit bundle says, offline, against a signed checkpoint.

    python verify_bundle.py bundle.zip --checkpoint CHECKPOINT --key KEY

CHECKPOINT  the signed checkpoint that you keep, and that the bundle was made for
KEY         the public key of whoever signed it: a file, or the key itself (name+hash+base64)

Get both, and this program, from anywhere but the bundle: somebody who forged the bundle could
have forged them with it. It needs Python 3.9 or newer, and nothing else: no package, no
network, no database.

It proves that each entry shown stands in the log that the checkpoint signs, unchanged, and that
no entry of the wallet is missing; and it adds up the wallet's money again. What is shown of a
bundle that was cut to a time proves less, and the output says what. It takes the signer's word
that the accounts it signed were counted rightly; `wallet verify` proves that on the whole log.

Exit status: 0 all of it holds; 1 something does not, and a sentence says what; 2 nothing could be
checked (a file is missing, the key is no key), or what holds could not be printed.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import copy
import hashlib
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

FORMAT = "wallet-audit-bundle/1"
FILES = ["bundle.json", "entries.jsonl", "proofs.jsonl", "verify_bundle.py"]
HEADER_FIELDS = ["format", "wallet_id", "shard", "size", "from", "to", "account"]
ACCOUNT_FIELDS = ["last_version", "entries", "index", "proof"]
LINE_BYTES_MAX = 1 << 20

# SHA-256 of this program as earlier releases had it, whose bundles hold a copy of that one
RELEASED: dict[str, str] = {}


class RefusedError(Exception):
    """Something does not hold; the text says what."""


class NothingCheckedError(Exception):
    """There is nothing to check against, or nothing to check."""


def main(arguments: list[str] | None = None) -> int:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", help="what `wallet audit` wrote")
    parser.add_argument("--checkpoint", required=True, help="file of the checkpoint you keep")
    parser.add_argument("--key", required=True, help="the signer's public key, or a file of it")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args(arguments)
    try:
        key = read_key(options.key)
        checkpoint = _read_file(options.checkpoint)
        result = verify(Path(options.bundle), checkpoint, key)
    except NothingCheckedError as error:
        _complain(str(error))
        return 2
    except RefusedError as error:
        refusal = json.dumps({"proved": False, "reason": str(error)})
        _print(refusal + "\n" if options.json else f"REFUSED: {error}\n")
        return 1
    printed = _print(json.dumps(result) + "\n" if options.json else in_words(result))
    return 0 if printed else 2


def _print(text: str) -> bool:
    if sys.stdout is None:  # closed by whoever wants the exit status alone
        return True
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # what is left in the buffer would fail once more while the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _complain(f"the result can't be printed: {error.strerror}")
        return False
    return True


def _complain(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"verify_bundle: {text}\n")


def _read_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise NothingCheckedError(f"{name} can't be read: {error.strerror}") from None


# --- Ed25519 (RFC 8032), verification alone ---------------------------------------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
_IDENTITY: Point = (0, 1, 1, 0)


def _add(a: Point, b: Point) -> Point:
    m = (a[1] - a[0]) * (b[1] - b[0]) % _P
    n = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c = 2 * _D * a[3] * b[3] % _P
    d = 2 * a[2] * b[2] % _P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    product = _IDENTITY
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point = _add(point, point)
        scalar >>= 1
    return product


def _point(encoded: bytes) -> Point | None:
    """The point that 32 bytes stand for; None if there is none on the curve."""
    number = int.from_bytes(encoded, "little")
    y = number & (1 << 255) - 1
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P:
        return None
    if x & 1 != number >> 255:
        x = -x % _P
    return x, y % _P, 1, x * y % _P


def _encoded(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _point(bytes([0x58]) + bytes([0x66]) * 31) or _IDENTITY


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 `signature` (64 bytes) of `message` is of `public_key` (32 bytes)."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    point = _point(public_key)
    scalar = int.from_bytes(signature[32:], "little")
    # or the same signature could be written in several ways
    if point is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    minus = (-point[0] % _P, point[1], 1, -point[3] % _P)
    return _encoded(_add(_times(scalar, _BASE), _times(challenge, minus))) == signature[:32]


def _is_weak(public_key: bytes) -> bool:
    """Whether the key is no proper point: one under which strangers can sign, or spelt oddly."""
    point = _point(public_key)
    if point is None or _encoded(point) != public_key:
        return True
    return _encoded(_times(8, point)) == _encoded(_IDENTITY)


# --- C2SP signed notes and checkpoints --------------------------------------------------------


class Key(NamedTuple):
    """A public key, 32 bytes, and the name that origins of its checkpoints begin with."""

    name: str
    public: bytes


class TreeHead(NamedTuple):
    """What a checkpoint signs of one tree."""

    origin: str
    size: int
    root: bytes


def read_key(given: str) -> Key:
    """A verifier key of signed notes, or that in the file of this name."""
    text = given.strip()
    if text.count("+") < 2:
        text = _read_file(given).decode("utf-8", "replace").strip()
    name, _, rest = text.partition("+")
    key_id, _, coded = rest.partition("+")
    material = _from_base64(coded)
    if not name or material is None or len(material) != 33 or material[0] != 1:
        raise NothingCheckedError(
            f"{given} is no public key: those are one line, NAME+ID+BASE64, of Ed25519"
        )
    if _key_id(name, material[1:]).hex() != key_id:
        raise NothingCheckedError(f"{given}: the key is not the one of its id; get it anew, whole")
    if _is_weak(material[1:]):
        raise NothingCheckedError(f"{given}: anybody could sign for this key; don't use it")
    return Key(name, material[1:])


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def find_tree_head(checkpoint: bytes, origin: str, key: Key) -> TreeHead:
    """What the note of this origin signs, among those of a checkpoint file."""
    parts = checkpoint.decode("utf-8", "replace").removesuffix("\n").split("\n\n")
    notes = [
        (f"{parts[place]}\n", parts[place + 1].split("\n"))
        for place in range(0, len(parts) - 1, 2)
        if parts[place].partition("\n")[0] == origin
    ]
    if not notes:
        raise RefusedError(f"the checkpoint has no note of {origin}: it is not the bundle's")
    if len(notes) > 1:
        raise RefusedError(f"the checkpoint has two notes of {origin}: give one as it was made")
    text, signatures = notes[0]
    _check_signature(origin, text, signatures, key)
    lines = text.split("\n")
    root = _from_base64(lines[2]) if len(lines) > 3 else None
    if root is None or len(root) != 32 or not re.fullmatch("0|[1-9][0-9]{0,17}", lines[1]):
        raise RefusedError(f"the note of {origin} is signed, but is no checkpoint")
    return TreeHead(origin, int(lines[1]), root)


def _check_signature(origin: str, text: str, lines: list[str], key: Key) -> None:
    mark = f"\N{EM DASH} {origin} "
    coded = [_from_base64(line.removeprefix(mark)) for line in lines if line.startswith(mark)]
    key_id = _key_id(origin, key.public)
    own = [signature[4:] for signature in coded if signature and signature[:4] == key_id]
    if not own:
        raise RefusedError(f"the checkpoint's note of {origin} is not signed by your key")
    if not all(is_signed(key.public, text.encode(), signature) for signature in own):
        raise RefusedError(
            f"the signature below the checkpoint's note of {origin} is false: "
            "the note was changed after it had been signed, or is forged"
        )


def _from_base64(text: Any) -> bytes | None:
    """The bytes; None unless it is text that they are written as, in the one way there is."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
    return data if base64.b64encode(data).decode() == text else None


# --- Merkle trees (RFC 6962, RFC 9162) --------------------------------------------------------


def _leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_in_tree(leaf: bytes, index: int, tree: TreeHead, proof: list[bytes]) -> bool:
    """Whether the proof leads from the hash of leaf `index` to the tree's root."""
    if not 0 <= index < tree.size:
        return False
    node, last = index, tree.size - 1
    for sibling in proof:
        if node & 1 or node == last:
            leaf = _node_hash(sibling, leaf)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = _node_hash(leaf, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and leaf == tree.root


def _read_proof(written: Any) -> list[bytes]:
    proof = [_from_base64(text) for text in written] if isinstance(written, list) else [None]
    hashes = [item for item in proof if item is not None and len(item) == 32]
    if len(hashes) != len(proof):
        raise RefusedError("a proof is no list of hashes, 32 bytes each in base64")
    return hashes


# --- The wallet's money, added up again -------------------------------------------------------


class Ledger:
    """A wallet after the events so far; amounts are in the currency's smallest unit.

    Where the history does not begin at its beginning, the first balance is taken as it is told,
    and `lots` and `owed` are not known.
    """

    def __init__(self, *, from_beginning: bool) -> None:
        self.from_beginning = from_beginning
        self.version: int | None = 0 if from_beginning else None
        self.first_version: int | None = None
        self.balance: int | None = None
        self.currency: str | None = None
        self.status = "active"
        self.owed = 0
        self.lots: dict[int, int] = {}
        self.expiries: dict[int, str] = {}
        self._credit_limit = 0

    def apply(self, version: Any, occurred_at: datetime, event: dict[str, Any]) -> None:
        kind = event["type"]
        if self.version is not None and version != self.version + 1:
            raise RefusedError(
                f"version {self.version + 1} of the wallet should come next, and {version} does: "
                "an event was left out"
            )
        if (version == 1) != (kind == "wallet_created") or self.status == "closed":
            raise RefusedError(f"a {kind} can't be version {version} of the wallet")
        self.version = version
        self.first_version = self.first_version or version
        if kind == "wallet_created":
            self.balance, self.currency = 0, event["currency"]
            self._credit_limit = _integer(event, "credit_limit")
        elif kind in _STATUS_AFTER:
            self.status = _STATUS_AFTER[kind]
        elif kind in _SIGNS:
            self._move(version, occurred_at, event)
        else:
            raise RefusedError(
                f"there are no events of type {kind!r} for this program: "
                "take the one of the release that wrote the bundle"
            )

    def _move(self, version: int, occurred_at: datetime, event: dict[str, Any]) -> None:
        kind, amount = event["type"], _integer(event, "amount")
        before, after = _integer(event, "balance_before"), _integer(event, "balance_after")
        if self.balance not in {None, before}:
            raise RefusedError(
                f"it tells of a balance of {before} before it, and the wallet's was {self.balance}"
            )
        if after != before + _SIGNS[kind] * amount:
            raise RefusedError(f"it makes {after} of {before} with {amount} {kind}")
        if self.currency not in {None, event["currency"]}:
            raise RefusedError(f"it is in {event['currency']}, and the wallet in {self.currency}")
        self.balance, self.currency = after, event["currency"]
        if self.from_beginning:
            if kind == "debited" and (after < -self._credit_limit or self.status == "frozen"):
                raise RefusedError("it takes out what the wallet did not allow")
            self._move_lots(version, occurred_at, event)

    def _move_lots(self, version: int, occurred_at: datetime, event: dict[str, Any]) -> None:
        kind, amount = event["type"], _integer(event, "amount")
        if kind in {"credited", "topped_up"}:
            self._take_in(version, event)
            return
        if kind == "expired":
            parts, overdrawn = {_integer(event, "lot"): amount}, 0
            due = _moment(event["expires_at"])
            if self.lots.get(event["lot"]) != amount or due > occurred_at:
                raise RefusedError("it lets expire what was not there, or not due yet")
        else:
            parts = {_integer(part, "lot"): _integer(part, "amount") for part in event["lots"]}
            overdrawn = event["overdrawn"] if kind == "debited" else min(amount, 0)
        if sum(parts.values()) + overdrawn != amount:
            raise RefusedError("its lots don't add up to its amount")
        for lot, part in parts.items():
            if not 0 < part <= self.lots.get(lot, 0):
                raise RefusedError(f"lot {lot} did not hold the {part} that it takes")
            self.lots[lot] -= part
        self.owed += overdrawn
        self.lots = {lot: rest for lot, rest in self.lots.items() if rest}

    def _take_in(self, version: int, event: dict[str, Any]) -> None:
        lot, settled = _integer(event, "lot"), _integer(event, "settled")
        kept = _integer(event, "amount") - settled
        if kept < 0 or not 0 <= settled <= self.owed:
            raise RefusedError("it settles more than was owed")
        if kept and lot != version and lot not in self.lots:
            raise RefusedError(f"its money goes into lot {lot}, which there is not")
        self.owed -= settled
        if kept:
            self.lots[lot] = self.lots.get(lot, 0) + kept
        if lot == version and event.get("expires_at"):
            self.expiries[lot] = event["expires_at"]


_STATUS_AFTER = {"frozen": "frozen", "unfrozen": "active", "closed": "closed"}
_SIGNS = {"debited": -1, "credited": 1, "topped_up": 1, "expired": -1, "written_off": -1}


def _integer(document: dict[str, Any], name: str) -> int:
    value = document[name]
    if type(value) is not int:
        raise TypeError(f"{name} is {value!r}, and should be an integer")
    return value


def _moment(text: str) -> datetime:
    # older releases of Python don't know what Z means
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # noqa: FURB162


# --- The bundle -------------------------------------------------------------------------------


class Account(NamedTuple):
    """What the checkpoint signs of one wallet: its last version, 0 for none, and its entries."""

    last_version: int
    entries: int


class Header(NamedTuple):
    """The bundle's first file: what it says that it is."""

    wallet_id: str
    shard: int
    size: int
    start: datetime | None
    end: datetime | None
    account: Account
    leaf_index: int
    proof: list[bytes]

    def covers(self, moment: datetime) -> bool:
        return (self.start is None or moment >= self.start) and (
            self.end is None or moment < self.end
        )


def verify(bundle: Path, checkpoint: bytes, key: Key) -> dict[str, Any]:
    """What the bundle proves; raises RefusedError with what does not hold."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            _check_files(archive)
            return _verify(archive, checkpoint, key)
    except OSError as error:
        raise NothingCheckedError(f"{bundle} can't be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise RefusedError(f"the bundle is no whole zip file ({error})") from None


def _check_files(archive: zipfile.ZipFile) -> None:
    names = [info.filename for info in archive.infolist()]
    if sorted(names) != FILES:
        raise RefusedError(f"the bundle's files have to be {', '.join(FILES)}; it has {names}")
    told = sum(30 + len(info.filename) + info.compress_size for info in archive.infolist())
    if archive.comment or told != archive.start_dir:
        raise RefusedError("the zip file holds bytes that belong to none of its files")
    program = archive.read("verify_bundle.py")
    digest = hashlib.sha256(program).hexdigest()
    if program != Path(__file__).read_bytes() and digest not in RELEASED.values():
        raise RefusedError(
            f"the verify_bundle.py in it, of SHA-256 {digest}, is not this program, nor that of "
            "an earlier release: it was changed, or is a later release's. Don't run it; take the "
            "newest release's from its source, which reads the bundles of all before it"
        )


def _verify(archive: zipfile.ZipFile, checkpoint: bytes, key: Key) -> dict[str, Any]:
    header = _read_header(archive.read("bundle.json"))
    log = find_tree_head(checkpoint, f"{key.name}/shard/{header.shard}/log", key)
    if log.size != header.size:
        raise RefusedError(
            f"the bundle was made for {header.size} entries of shard {header.shard}, and the "
            f"checkpoint is of {log.size}: ask for a bundle for this checkpoint"
        )
    accounts = find_tree_head(
        checkpoint, f"{key.name}/shard/{header.shard}/wallets/{log.size}", key
    )
    account = [header.wallet_id, *header.account]
    leaf = json.dumps(account, separators=(",", ":"), ensure_ascii=False).encode()
    if not is_in_tree(_leaf_hash(leaf), header.leaf_index, accounts, header.proof):
        raise RefusedError(
            f"the checkpoint does not sign that {header.wallet_id} has {header.account.entries} "
            f"entries, the last of version {header.account.last_version}"
        )
    history = History(header, log)
    with archive.open("entries.jsonl") as entries, archive.open("proofs.jsonl") as proofs:
        _add_all(history, _lines(entries), _lines(proofs))
    return history.finish()


def _add_all(history: History, entries: Iterator[bytes], proofs: Iterator[bytes]) -> None:
    for number, data in enumerate(entries, 1):
        try:
            history.add(data, next(proofs, None))
        except RefusedError as error:
            raise RefusedError(f"entry {number} of the bundle: {error}") from None
        except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
            raise RefusedError(f"entry {number} of the bundle is none ({error!r:.99})") from None
    if next(proofs, None) is not None:
        raise RefusedError("there are more proofs than entries: an entry was dropped")


def _read_header(data: bytes) -> Header:
    told = _parsed(data.removesuffix(b"\n"), "its bundle.json")
    try:
        return _header(told)
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"its bundle.json is none ({error!r:.99})") from None


def _parsed(data: bytes, what: str) -> Any:
    """The JSON document, if it is written in the one way that `wallet audit` has."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise RefusedError(f"{what} is no JSON") from None
    if json.dumps(document, separators=(",", ":")).encode() != data:
        raise RefusedError(
            f"{what} is not as it was written: there may be more in it than is read"
        )
    return document


def _header(told: dict[str, Any]) -> Header:
    if told["format"] != FORMAT:
        raise RefusedError(f"its format is {told['format']!r}, and {FORMAT!r} is read")
    account = told["account"]
    if [*told] != HEADER_FIELDS or [*account] != ACCOUNT_FIELDS:
        raise RefusedError("its bundle.json tells more, or less, than is read")
    start, end = (told[name] and _moment(told[name]) for name in ("from", "to"))
    return Header(
        told["wallet_id"],
        _integer(told, "shard"),
        _integer(told, "size"),
        start,
        end,
        Account(_integer(account, "last_version"), _integer(account, "entries")),
        _integer(account, "index"),
        _read_proof(account["proof"]),
    )


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX):
        if not line.endswith(b"\n"):
            raise RefusedError(f"{file.name} has a line that is cut, or too long")
        yield line.removesuffix(b"\n")


class History:
    """Takes the bundle's entries in order; `finish` says what they prove together."""

    def __init__(self, header: Header, log: TreeHead) -> None:
        self._header = header
        self._log = log
        self._ledger = Ledger(from_beginning=header.start is None)
        self._at_end: Ledger | None = None
        self._whole = header.start is None and header.end is None
        self._position = -1
        self._moment: datetime | None = None
        self._outside = {"before": 0, "after": 0}
        self._shown: list[dict[str, Any]] = []

    def add(self, data: bytes, proof: bytes | None) -> None:
        """Raises RefusedError, or KeyError and its like for what is no entry."""
        entry = json.loads(data)
        position = _integer(entry, "position")
        if proof is None:
            raise RefusedError("it has no proof")
        hashes = _read_proof(_parsed(proof, "its proof"))
        if not is_in_tree(_leaf_hash(data), position, self._log, hashes):
            raise RefusedError(
                f"its proof does not lead from it, at position {position}, to the root that the "
                "checkpoint signs: entry or proof was changed"
            )
        if (entry["wallet_id"], entry["shard"]) != (self._header.wallet_id, self._header.shard):
            raise RefusedError(f"it is one of {entry['wallet_id']}, shard {entry['shard']}")
        moment = _moment(entry["occurred_at"])
        if position <= self._position or moment < (self._moment or moment):
            raise RefusedError("it does not come after the one before it: they were swapped")
        self._position, self._moment = position, moment
        self._place(entry, moment)

    def _place(self, entry: dict[str, Any], moment: datetime) -> None:
        version, event = entry["version"], entry["event"]
        inside = self._header.covers(moment)
        if not inside:
            early = self._header.start is not None and moment < self._header.start
            self._outside["before" if early else "after"] += 1
            if version is None or max(self._outside.values()) > 1:
                raise RefusedError("it is outside of the bundle's time, and not at its edge")
        if self._outside["after"]:
            # what comes after the time shows that nothing is missing, and is no part of it
            self._at_end = copy.deepcopy(self._ledger)
        if version is not None:
            self._ledger.apply(version, moment, event)
        elif self._ledger.version not in {None, event["wallet_version"]}:
            raise RefusedError(
                f"it was refused at version {event['wallet_version']} of the wallet, which is at "
                f"{self._ledger.version} here"
            )
        if inside:
            self._shown.append(_statement_line(entry))

    def finish(self) -> dict[str, Any]:
        account, ledger = self._header.account, self._ledger
        self._check_start()
        last = ledger.version or 0
        if self._whole and len(self._shown) != account.entries:
            raise RefusedError(
                f"the wallet has {account.entries} entries by the checkpoint, and the bundle "
                f"{len(self._shown)}: some were left out"
            )
        if last > account.last_version or (
            last < account.last_version and not self._outside["after"]
        ):
            raise RefusedError(
                f"the wallet's last version is {account.last_version} by the checkpoint, and the "
                f"bundle's {last}: the end was left out"
            )
        return self._result()

    def _check_start(self) -> None:
        first = self._ledger.first_version
        if first not in {None, 1} and not self._outside["before"]:
            raise RefusedError(
                f"it begins with version {first}, and nothing shows that the one before it is of "
                "before the bundle's time: the beginning was left out"
            )
        if first is None and self._header.account.last_version:
            raise RefusedError("it holds no event of a wallet that has some: all were left out")

    def _result(self) -> dict[str, Any]:
        header, ledger = self._header, self._at_end or self._ledger
        lots = [
            {"lot": lot, "remaining": rest, "expires_at": ledger.expiries.get(lot)}
            for lot, rest in sorted(ledger.lots.items())
        ]
        return {
            "proved": True,
            "wallet_id": header.wallet_id,
            "checkpoint": {"origin": self._log.origin, "entries": self._log.size},
            "from": _text(header.start),
            "to": _text(header.end),
            "entries": len(self._shown),
            "entries_by_checkpoint": header.account.entries,
            "last_version": header.account.last_version,
            "currency": ledger.currency,
            "status": ledger.status if ledger.from_beginning else None,
            "balance": ledger.balance,
            "owed": ledger.owed if ledger.from_beginning else None,
            "lots": lots if ledger.from_beginning else None,
            "statement": self._shown,
            "proves": self._proves(),
            "does_not_prove": self._does_not_prove(),
        }

    def _proves(self) -> list[str]:
        there = (
            f"each of these {len(self._shown)} entries stands, byte for byte, in the log whose "
            f"first {self._log.size} entries the checkpoint signs"
        )
        said = [there]
        if self._whole:
            said.append(
                f"they are all {self._header.account.entries} that the wallet had by then, "
                "refusals included: none was left out"
            )
        else:
            said.append(
                "no change of the wallet within the time was left out: versions follow each "
                "other, beyond the time's edges or to the wallet's own"
            )
        if self._ledger.from_beginning:
            said.append("the balance and its lots are what all of these come to, added up again")
        else:
            said.append("each balance follows from the one before it")
        return said

    def _does_not_prove(self) -> list[str]:
        said = []
        if not self._whole:
            said.append(
                "that no refused command of the time was left out: refusals are unnumbered"
            )
        if not self._ledger.from_beginning:
            said.append("the first balance: it is what the log says, and not added up again")
        said += [
            "what came after the checkpoint",
            "that each command was decided by the rules: `wallet verify` decides them again",
            "that the signer counted rightly: whoever has the whole log can count again",
            "that no other shard holds entries of the wallet: the engine keeps each in one shard",
            "that the signer shows everybody the same log: compare checkpoints with others",
        ]
        return said


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _statement_line(entry: dict[str, Any]) -> dict[str, Any]:
    event = entry["event"]
    refused = event["type"] == "command_rejected"
    told = event["command"] if refused else event
    amount = told.get("amount")
    return {
        "position": entry["position"],
        "version": entry["version"],
        "at": entry["occurred_at"],
        "type": event["type"],
        "refused": f"{told['type']}: {event['code']}" if refused else None,
        "amount": amount if refused or amount is None else _SIGNS[event["type"]] * amount,
        "balance": event.get("balance_after"),
        "reference": told.get("reference"),
    }


def in_words(result: dict[str, Any]) -> str:
    """The result as a person reads it."""
    period = f", from {result['from'] or 'the beginning'} to {result['to'] or 'the end'}"
    whole = result["from"] is None and result["to"] is None
    lines = [f"{result['wallet_id']}{'' if whole else period}", ""]
    kinds = [
        f"refused {line['refused']}" if line["refused"] else line["type"]
        for line in result["statement"]
    ]
    wide = max(map(len, kinds), default=0)
    for line, what in zip(result["statement"], kinds):  # noqa: B905  # Python 3.9 has no strict
        amount = "" if line["amount"] is None else f"{line['amount']:,}"
        balance = "" if line["balance"] is None else f"{line['balance']:,}"
        lines.append(
            f"{line['version'] or '-':>7}  {line['at']:<27}  {what:<{wide}}  {amount:>16}  "
            f"{balance:>16}  {_printable(line['reference'] or '')}".rstrip()
        )
    if result["balance"] is not None:
        lines += [
            "",
            f"balance {result['balance']:,}, in the smallest unit of {result['currency']}",
        ]
    for lot in result["lots"] or []:
        until = f", until {lot['expires_at']}" if lot["expires_at"] else ""
        lines.append(f"  {lot['remaining']:,} of lot {lot['lot']}{until}")
    if result["owed"]:
        lines.append(f"  {result['owed']:,} are owed")
    lines += ["", f"PROVED by {result['checkpoint']['origin']}:"]
    lines += [f"  - {claim}" for claim in result["proves"]]
    lines += ["NOT PROVED by this bundle:"]
    lines += [f"  - {claim}" for claim in result["does_not_prove"]]
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


if __name__ == "__main__":
    sys.exit(main())
