"""Ways to forge a bundle, each with a part of the sentence that it has to be refused with.

Some are of whoever carries the bundle, some spoil what the auditor holds, and some are a signer's
who lies: there the log itself says something else, and all of it is signed.
"""

import base64
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from audit.keys import SigningKey, VerifierKey
from audit.notes import sign
from audit.verify_bundle import LINE_BYTES_MAX
from tests.support.history import HistoryBuilder
from tests.support.signed_log import KEY, Files, SignedLog, line, zipped

MINE, THEIRS = "wal_mine", "wal_another"
ORIGIN = "wallets.example.com/shard/0"

Document = dict[str, Any]
Period = tuple[str | None, str | None]
Handed = tuple[Path, bytes, str]
"""The bundle, the checkpoint and the key that the auditor holds it against."""


class Forgery(NamedTuple):
    name: str
    said: str
    make: Callable[[Path], Handed]


def story() -> HistoryBuilder:
    """A wallet's life with every kind of entry, among entries of another wallet."""
    history = HistoryBuilder().create(THEIRS).create("wal_further").create(MINE, credit_limit=300)
    history.topup(MINE, 1_000).topup(THEIRS, 5).wait(1).credit(MINE, 500, lasts=10, priority=1)
    history.wait(1).debit(MINE, 200).debit(MINE, 10**6).wait(10).expire(MINE).wait(1)
    history.debit(MINE, 1_200).topup(MINE, 150).topup(MINE, 400).debit(THEIRS, 1).wait(1)
    history.freeze(MINE).wait(1).debit(MINE, 1).wait(1).unfreeze(MINE).debit(MINE, 40).wait(1)
    return history.close(MINE).debit(MINE, 1).topup(THEIRS, 2)


LOG = SignedLog.of(story())
OF_TWO = SignedLog.of(HistoryBuilder().create(THEIRS).create(MINE))
ALL: Period = (None, None)
TIMES = sorted({json.loads(entry)["occurred_at"] for entry in LOG.entries})


def on_bundle(
    name: str,
    said: str,
    change: Callable[[Files], Any],
    period: Period = ALL,
    log: SignedLog = LOG,
) -> Forgery:
    """`change` changes the files, or gives others."""

    def make(directory: Path) -> Handed:
        files = log.bundle(MINE, *period)
        files = change(files) or files
        return zipped(directory / "bundle.zip", files), log.checkpoint, str(KEY.verifier)

    return Forgery(name, said, make)


def on_zip(name: str, said: str, change: Callable[[Path], Any]) -> Forgery:
    def make(directory: Path) -> Handed:
        path = zipped(directory / "bundle.zip", LOG.bundle(MINE))
        change(path)
        return path, LOG.checkpoint, str(KEY.verifier)

    return Forgery(name, said, make)


def on_checkpoint(name: str, said: str, change: Callable[[bytes], bytes]) -> Forgery:
    def make(directory: Path) -> Handed:
        path = zipped(directory / "bundle.zip", LOG.bundle(MINE))
        changed = change(LOG.checkpoint)
        assert changed != LOG.checkpoint
        return path, changed, str(KEY.verifier)

    return Forgery(name, said, make)


def on_key(name: str, said: str, key: str) -> Forgery:
    def make(directory: Path) -> Handed:
        return zipped(directory / "bundle.zip", LOG.bundle(MINE)), LOG.checkpoint, key

    return Forgery(name, said, make)


def by_signer(
    name: str,
    said: str,
    change: Callable[[list[Document]], Any],
    period: Period = ALL,
    account: tuple[str, int, int] | None = None,
) -> Forgery:
    """What `change` makes of the entries is what is signed; `account` is the leaf, if not right."""

    def make(directory: Path) -> Handed:
        documents = [json.loads(entry) for entry in LOG.entries]
        change(documents)
        log = SignedLog.signing(line(document).rstrip() for document in documents)
        if account is not None:
            log.leaves = [account if leaf[0] == MINE else leaf for leaf in log.leaves]
        path = zipped(directory / "bundle.zip", log.bundle(MINE, *period))
        return path, log.checkpoint, str(KEY.verifier)

    return Forgery(name, said, make)


# --- changes to the files ---------------------------------------------------------------------

BOTH = ("entries.jsonl", "proofs.jsonl")


def edited(change: Callable[[list[bytes]], Any], *names: str) -> Callable[[Files], None]:
    """Changes the lines of these files alike."""

    def edit(files: Files) -> None:
        for name in names or BOTH:
            kept = files[name].splitlines(keepends=True)
            change(kept)
            files[name] = b"".join(kept)

    return edit


def without(number: int, *names: str) -> Callable[[Files], None]:
    return edited(lambda kept: kept.pop(number), *names)


def swapped(*names: str) -> Callable[[Files], None]:
    return edited(lambda kept: kept.insert(4, kept.pop(5)), *names)


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def replace(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return replace


def header(**changes: Any) -> Callable[[Files], None]:
    """Changes the header's fields, or else those of its account."""

    def change(files: Files) -> None:
        told = json.loads(files["bundle.json"])
        for name, value in changes.items():
            part = told["account"] if name in told["account"] else told
            part[name] = value(part[name]) if callable(value) else value
        files["bundle.json"] = line(told)

    return change


def one_proof(change: Callable[[list[str]], Any]) -> Callable[[Files], None]:
    """Changes the third entry's proof, or gives another document."""

    def changed(kept: list[bytes]) -> None:
        written = json.loads(kept[2])
        kept[2] = line(change(written) or written)

    return edited(changed, "proofs.jsonl")


def also(position: int, at: int = 0) -> Callable[[Files], None]:
    """Puts in the entry of this position with its own, right proof."""

    def add(files: Files) -> None:
        edited(lambda kept: kept.insert(at, LOG.entries[position] + b"\n"), BOTH[0])(files)
        edited(lambda kept: kept.insert(at, LOG.proof_line(position)), BOTH[1])(files)

    return add


def fewer_in_the_account(files: Files) -> None:
    without(-1)(files)
    header(entries=lambda count: count - 1)(files)


def anothers_account(files: Files) -> Files:
    mine, theirs = LOG.bundle(MINE), LOG.bundle(THEIRS)
    return mine | {"bundle.json": theirs["bundle.json"]}


def longer_spelling(written: list[str]) -> None:
    # the last character before the padding holds two bits that stand for nothing
    spelt = written[0][:-2] + chr(ord(written[0][-2]) + 1) + "="
    assert base64.b64decode(spelt) == base64.b64decode(written[0])
    written[0] = spelt


def find(kind: str, nth: int = 0, wallet: str = MINE) -> int:
    """The position of the wallet's nth entry of this type."""
    documents = [json.loads(entry) for entry in LOG.entries]
    found = [d["position"] for d in documents if _is(d, kind, wallet)]
    return int(found[nth])


def _is(document: Document, kind: str, wallet: str) -> bool:
    return bool(document["wallet_id"] == wallet and document["event"]["type"] == kind)


FIRST_DEBIT = find("debited")
LATE: Period = (TIMES[3], None)
EARLY: Period = (None, TIMES[3])

BY_CARRIER = [
    on_bundle("changed entry", "does not lead", replaced(BOTH[0], b'"amount":500', b'"amount":9')),
    on_bundle("dropped entry", "some were left out", without(-1)),
    on_bundle("dropped event", "version 2 of the wallet should come next", without(1)),
    on_bundle("dropped entry, its proof kept", "more proofs than entries", without(-1, BOTH[0])),
    on_bundle("dropped proof", "it has no proof", without(-1, BOTH[1])),
    on_bundle("swapped entries and proofs", "they were swapped", swapped()),
    on_bundle("swapped entries", "entry 5 of the bundle: its proof does not", swapped(BOTH[0])),
    on_bundle("swapped proofs", "entry 5 of the bundle: its proof does not", swapped(BOTH[1])),
    on_bundle("an entry twice", "they were swapped", also(LOG.positions(MINE)[0])),
    on_bundle("another wallet's entry", "one of wal_another", also(LOG.positions(THEIRS)[0])),
    on_bundle("hash that is swapped", "does not lead", one_proof(lambda p: p.reverse())),
    on_bundle("hash too many", "does not lead", one_proof(lambda p: p.append(p[0]))),
    on_bundle("hash too few", "does not lead", one_proof(lambda p: p.pop() and None)),
    on_bundle("proof of another kind", "no list of hashes", one_proof(lambda _: {"a": 1})),
    on_bundle("hash of no text", "no list of hashes", one_proof(lambda p: [*p, 5])),
    on_bundle("hash that is short", "no list of hashes", one_proof(lambda p: [*p, "AAAA"])),
    on_bundle("hash spelt otherwise", "no list of hashes", one_proof(longer_spelling)),
    on_bundle("proof with spaces", "not as it was written", replaced(BOTH[1], b"[", b"[ ")),
    on_bundle("proof that is no JSON", "its proof is no JSON", replaced(BOTH[1], b"[", b"")),
    on_bundle(
        "line without an end",
        "entries.jsonl has a line that is cut",
        lambda files: files.update({BOTH[0]: files[BOTH[0]].rstrip()}),
    ),
    on_bundle(
        "line without bounds",
        "entries.jsonl has a line that is cut, or too long",
        lambda files: files.update({BOTH[0]: b" " * LINE_BYTES_MAX + files[BOTH[0]]}),
    ),
    on_bundle("fewer in the account", "does not sign that wal_mine has", fewer_in_the_account),
    on_bundle("another's account", "does not sign|one of wal_mine", anothers_account),
    on_bundle("other version", "does not sign", header(last_version=lambda v: v - 1)),
    on_bundle("other wallet", "does not sign that wal_other", header(wallet_id="wal_other")),
    on_bundle("account's proof", "does not sign", header(proof=lambda p: [*p, *p])),
    on_bundle("account's place", "does not sign", header(index=lambda n: n - 1)),
    on_bundle("account's place of two", "does not sign", header(index=3), log=OF_TWO),
    on_bundle("other shard", "has no note of " + ORIGIN[:-1] + "1/log", header(shard=1)),
    on_bundle("size in the header", "the bundle was made for 3 entries", header(size=3)),
    on_bundle("other format", "its format is 'zip'", header(format="zip")),
    on_bundle("more in the header", "more, or less, than is read", header(note="all is well")),
    on_bundle(
        "more in the account",
        "more, or less, than is read",
        header(account=lambda told: told | {"note": "all is well"}),
    ),
    on_bundle("header's spaces", "not as it was written", replaced("bundle.json", b":", b": ")),
    on_bundle("header that lacks", "is none", lambda files: files | {"bundle.json": b"{}\n"}),
    on_bundle("no header", "is no JSON", lambda files: files | {"bundle.json": b"\n"}),
    on_bundle("size that is no number", "is none", header(size=True)),
    on_bundle("time that is none", "is none", header(**{"from": "soon"})),
    on_bundle("extra file", "files have to be", lambda files: files | {"note.txt": b"hello"}),
    on_bundle(
        "missing file",
        "files have to be",
        lambda files: {name: data for name, data in files.items() if name != BOTH[1]},
    ),
    on_bundle(
        "other program",
        "is not this program",
        replaced("verify_bundle.py", b"return 1", b"return 0"),
    ),
    # where a bundle is of a part of the time
    on_bundle("all dropped", "all were left out", lambda f: f | dict.fromkeys(BOTH, b""), LATE),
    on_bundle("no event before", "the beginning was left out", without(0), LATE),
    on_bundle(
        "first event",
        "the beginning was left out",
        edited(lambda k: k.__delitem__(slice(0, 2))),
        LATE,
    ),
    on_bundle("no event after", "the end was left out", without(-1), EARLY),
    on_bundle("event within", "should come next", without(1), LATE),
    on_bundle(
        "end of what goes to the end",
        "the end was left out",
        edited(lambda k: k.__delitem__(slice(-3, None))),
        LATE,
    ),
    on_bundle("refusal before", "not at its edge", also(find("command_rejected")), LATE),
    on_bundle("event more before", "not at its edge", also(find("credited")), LATE),
    on_bundle("refusal after", "not at its edge", also(find("command_rejected", 1), 99), EARLY),
    on_bundle("event more after", "not at its edge", also(find("unfrozen"), 99), EARLY),
    on_bundle("other time", "not at its edge", header(**{"from": TIMES[-1]}), LATE),
]


# --- changes to the zip itself ----------------------------------------------------------------


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def commented(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"wal_another has 5"


def twice(path: Path) -> None:
    files = [*LOG.bundle(MINE).items(), (BOTH[0], b"")]
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in files:
            archive.writestr(name, data)


def corrupt(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.getinfo(BOTH[0]).header_offset + 30 + len(BOTH[0])
    return data[:start] + b"\0" * 40 + data[start + 40 :]


def with_extra_field(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in LOG.bundle(MINE).items():
            info = zipfile.ZipInfo(name)
            info.extra = b"\xfe\xca\x04\x00data"
            archive.writestr(info, data)


BY_CARRIER += [
    on_zip("comment in the zip", "bytes that belong to none", commented),
    on_zip("bytes before the zip", "bytes that belong to none", rewritten(lambda d: b"x" + d)),
    on_zip("bytes in the zip's fields", "bytes that belong to none", with_extra_field),
    on_zip("file twice", "files have to be", twice),
    on_zip("half a zip", "no whole zip file", rewritten(lambda data: data[: len(data) // 2])),
    on_zip("no zip", "no whole zip file", rewritten(lambda _: b"no")),
    on_zip("corrupt zip", "no whole zip file", rewritten(corrupt)),
]


# --- what the auditor holds -------------------------------------------------------------------

STRANGER = SigningKey(KEY.name, bytes(32))
NOTES = LOG.checkpoint.decode().split("\n\n")


def instead(text: str, origin: str = f"{ORIGIN}/log") -> Callable[[bytes], bytes]:
    """The log's note is one of this text, signed as it should be."""
    note = sign(text, KEY.under(origin)).encode()
    return lambda checkpoint: note + b"\n" + checkpoint.split(b"\n\n", 2)[2]


def under_your_id(checkpoint: bytes) -> bytes:
    """A stranger's signature that names itself as the signer's."""
    text, origin = NOTES[0] + "\n", f"{ORIGIN}/log"
    signed = KEY.under(origin).verifier.id + STRANGER.sign(text.encode())
    return checkpoint.replace(
        NOTES[1].encode(), f"\N{EM DASH} {origin} {base64.b64encode(signed).decode()}".encode()
    )


def of_another_log(checkpoint: bytes) -> bytes:
    entries = [*LOG.entries[:-1], b'{"wallet_id":"wal_another","version":9}']
    return SignedLog.signing(entries).checkpoint


def of_other_wallets(checkpoint: bytes) -> bytes:
    """The log is the same one, but the wallet is said to have one entry more."""
    leaves = [(w, v, n + (w == MINE)) for w, v, n in LOG.leaves]
    return SignedLog(LOG.entries, leaves).checkpoint


def a_size_later(checkpoint: bytes) -> bytes:
    return SignedLog.signing([*LOG.entries, LOG.entries[0]]).checkpoint


ROOT = base64.b64encode(bytes(32)).decode()

BY_AUDITOR = [
    on_checkpoint("no checkpoint", "has no note of " + ORIGIN, lambda _: b"hello"),
    on_checkpoint(
        "one note", f"has no note of {ORIGIN}/wallets", lambda c: c[: c.index(b"\n\n", 150)]
    ),
    on_checkpoint("notes twice", "two notes of", lambda c: c + b"\n" + c),
    on_checkpoint(
        "other size",
        "below the checkpoint's note of",
        lambda c: c.replace(b"log\n2", b"log\n3", 1),
    ),
    on_checkpoint(
        "a stranger's notes",
        "not signed by your key",
        lambda _: SignedLog(LOG.entries, LOG.leaves, key=STRANGER).checkpoint,
    ),
    on_checkpoint("a stranger under your id", "forged", under_your_id),
    on_checkpoint(
        "signatures swapped",
        "not signed by",
        lambda c: "\n\n".join([NOTES[0], NOTES[3].strip(), NOTES[2], NOTES[1] + "\n"]).encode(),
    ),
    on_checkpoint("later checkpoint", "ask for a bundle for this checkpoint", a_size_later),
    on_checkpoint("another log's", "does not sign|does not lead", of_another_log),
    on_checkpoint("other wallets", "does not sign that wal_mine", of_other_wallets),
    on_checkpoint("no root", "is no checkpoint", instead(f"{ORIGIN}/log\n20\n")),
    on_checkpoint("short root", "is no checkpoint", instead(f"{ORIGIN}/log\n20\nAAAA\n")),
    on_checkpoint("odd root", "is no checkpoint", instead(f"{ORIGIN}/log\n20\nwhat\n")),
    on_checkpoint("odd size", "is no checkpoint", instead(f"{ORIGIN}/log\n020\n{ROOT}\n")),
    on_key("stranger's key", "not signed by your key", str(STRANGER.verifier)),
    on_key("key under another name", "has no note of", str(KEY.under("other.example").verifier)),
    on_key(
        "key with another id", "not the one of its id", str(KEY.verifier).replace("+", "+0", 1)
    ),
    on_key(
        "key for which all can sign",
        "anybody could sign",
        str(VerifierKey("a", b"\1" + bytes(31))),
    ),
    on_key("key without a name", "is no public key", str(VerifierKey("", KEY.verifier.public))),
    on_key(
        "key of another kind", "is no public key", "a+0+" + base64.b64encode(b"\2" * 33).decode()
    ),
    on_key(
        "key that is short", "is no public key", "a+0+" + base64.b64encode(b"\1" * 32).decode()
    ),
    on_key("key that is no base64", "is no public key", "a+0+?"),
]


# --- a signer who lies ------------------------------------------------------------------------


def lie(kind: str, nth: int = 0, **changes: Any) -> Callable[[list[Document]], None]:
    """Changes fields of the entry, or else of its event; a callable is given what was there."""
    position = find(kind, nth)

    def change(documents: list[Document]) -> None:
        entry = documents[position]
        for name, value in changes.items():
            part = entry if name in entry else entry["event"]
            part[name] = value(part.get(name)) if callable(value) else value

    return change


def all_of(*changes: Callable[[list[Document]], None]) -> Callable[[list[Document]], None]:
    def change(documents: list[Document]) -> None:
        for each in changes:
            each(documents)

    return change


def another_event(kind: str, event: Document, nth: int = 0) -> Callable[[list[Document]], None]:
    position = find(kind, nth)

    def change(documents: list[Document]) -> None:
        documents[position]["event"] = event

    return change


def parts(**lots: int) -> list[Document]:
    return [{"lot": int(name[1:]), "amount": amount} for name, amount in lots.items()]


RIGHT = next(leaf for leaf in LOG.leaves if leaf[0] == MINE)
CREATED = json.loads(LOG.entries[find("wallet_created")])["event"]
NOTHING = {"type": "frozen", "reference": "x"}
OPENED = "a wallet_created can't be version"

BY_SIGNER = [
    by_signer("version left out", "version 9 of the wallet", lie("frozen", wallet_id=THEIRS)),
    by_signer("opened twice", f"{OPENED} 9", another_event("frozen", CREATED)),
    by_signer("never opened", "a frozen can't", another_event("wallet_created", NOTHING)),
    by_signer(
        "after the end",
        "a frozen can't be version 14",
        all_of(
            another_event("command_rejected", NOTHING, 2), lie("command_rejected", 2, version=14)
        ),
    ),
    by_signer(
        "no entry", "is none", lambda documents: documents[LOG.positions(MINE)[1]].pop("event")
    ),
    by_signer("unknown event", "no events of type 'held'", lie("frozen", type="held")),
    by_signer("entry without a type", "is none", another_event("frozen", {"reference": "x"})),
    by_signer(
        "balance before",
        "tells of a balance of 1501 before it, and the wallet's was 1500",
        lie("debited", balance_before=1501, balance_after=1301),
    ),
    by_signer("balance after", "it makes 1301 of 1500", lie("debited", balance_after=1301)),
    by_signer("currency", "it is in EUR", lie("debited", currency="EUR")),
    by_signer(
        "beyond the credit limit",
        "the wallet did not allow",
        lie("wallet_created", credit_limit=100),
    ),
    by_signer(
        "out of a frozen wallet", "the wallet did not allow", lie("unfrozen", type="frozen")
    ),
    by_signer("expiry of another lot", "let expire|lets expire", lie("expired", lot=2)),
    by_signer(
        "expiry too early", "lets expire", lie("expired", expires_at="2999-01-01T00:00:00Z")
    ),
    by_signer("lots' sum", "don't add up", lie("debited", lots=parts(n3=199))),
    by_signer("sum overdrawn", "don't add up", lie("debited", 1, overdrawn=0)),
    by_signer(
        "lot that is not", "lot 99 did not hold the 200", lie("debited", lots=parts(n99=200))
    ),
    by_signer(
        "lot that lacks",
        "lot 3 did not",
        lie("debited", amount=600, balance_after=900, lots=parts(n3=600)),
    ),
    by_signer(
        "less than nothing", "lot 2 did not hold the -1", lie("debited", lots=parts(n3=201, n2=-1))
    ),
    by_signer("more settled than owed", "settles more", lie("credited", settled=5)),
    by_signer("more settled than came", "settles more", lie("topped_up", 1, settled=200)),
    by_signer("less settled than nothing", "settles more", lie("credited", settled=-5)),
    by_signer("into no lot", "goes into lot 77", lie("topped_up", lot=77)),
    by_signer("fraction", "amount is 500.0, and should be", lie("credited", amount=500.0)),
    by_signer("another shard", "shard 1", lie("debited", shard=1)),
    by_signer("another place", "does not lead", lie("debited", position=0)),
    by_signer("back in time", "does not come after", lie("debited", occurred_at=TIMES[0])),
    by_signer(
        "refused at another version",
        "refused at version 1 of the wallet, which is at 4",
        lie("command_rejected", wallet_version=1),
    ),
    by_signer("account of more", "some were left out", list, ALL, (MINE, RIGHT[1], RIGHT[2] + 1)),
    by_signer("account of fewer", "some were left out", list, ALL, (MINE, RIGHT[1], RIGHT[2] - 1)),
    by_signer(
        "account of a later version", "the end was left out", list, ALL, (MINE, 99, RIGHT[2])
    ),
    by_signer(
        "account of an older version", "the end was left out", list, ALL, (MINE, 2, RIGHT[2])
    ),
    by_signer(
        "account of an older version, in part",
        "the end was left out",
        list,
        EARLY,
        (MINE, 2, RIGHT[2]),
    ),
]

FORGERIES = [*BY_CARRIER, *BY_AUDITOR, *BY_SIGNER]
