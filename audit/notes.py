"""Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature.

note = sign(text, key)
assert verified_text(note, key.verifier) == text
"""

from typing import Final

from msgspec import Struct

from audit.base64_text import from_base64, to_base64
from audit.errors import NoteMalformedError, SignatureError
from audit.keys import KEY_ID_BYTES, SigningKey, VerifierKey, is_key_name

NOTE_BYTES_MAX: Final = 1 << 20
_SIGNATURES_MAX: Final = 100
_DASH: Final = "\N{EM DASH} "


class NoteSignature(Struct, frozen=True):
    """One line below a note: who is said to have signed, and with what."""

    name: str
    key_id: bytes
    signature: bytes


class Note(Struct, frozen=True):
    """A note that nobody has verified: its text is to be ignored until then."""

    text: str
    signatures: list[NoteSignature]


def sign(text: str, key: SigningKey) -> str:
    """The text as a note with one signature; raises NoteMalformedError if it can't be a note's."""
    _check_text(text)
    signed = to_base64(key.verifier.id + key.sign(text.encode()))
    return f"{text}\n{_DASH}{key.name} {signed}\n"


def parse_note(note: str) -> Note:
    """Take a note apart; raises NoteMalformedError."""
    if len(note) > NOTE_BYTES_MAX:
        raise NoteMalformedError(f"A signed note has at most {NOTE_BYTES_MAX} bytes.")
    head, found, signatures = note.rpartition("\n\n")
    if not found or not signatures.endswith("\n"):
        raise NoteMalformedError(
            "This is no signed note: it needs an empty line and signatures at its end. Was the "
            "file cut, or changed by an editor?"
        )
    text = head + "\n"
    _check_text(text)
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > _SIGNATURES_MAX:
        raise NoteMalformedError(f"A signed note has at most {_SIGNATURES_MAX} signatures.")
    return Note(text, [_parse_signature(line) for line in lines])


def verified_text(note: str, key: VerifierKey) -> str:
    """The text, if this key has signed it; signatures of other keys are passed over.

    Raises NoteMalformedError or SignatureError.
    """
    parsed = parse_note(note)
    own = [
        signature.signature
        for signature in parsed.signatures
        if (signature.name, signature.key_id) == (key.name, key.id)
    ]
    if not own:
        names = ", ".join(sorted({f"{s.name} ({s.key_id.hex()})" for s in parsed.signatures}))
        raise SignatureError(
            f"The note is signed by {names}, and not by {key.name} ({key.id.hex()}): is it the "
            "verifier key of the service that made the note?"
        )
    message = parsed.text.encode()
    if not all(key.verifies(signature, message) for signature in own):
        raise SignatureError(
            f"The signature of {key.name} is not that of this text: the note was changed after "
            "it had been signed, or is forged. Believe nothing in it."
        )
    return parsed.text


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    decoded = from_base64(encoded)
    well_formed = line.startswith(_DASH) and space and is_key_name(name)
    if not well_formed or len(decoded) <= KEY_ID_BYTES:
        raise NoteMalformedError(
            f"This is no signature of a note: {line[:80]!r}. Was the file cut, or changed by an "
            "editor?"
        )
    return NoteSignature(name, decoded[:KEY_ID_BYTES], decoded[KEY_ID_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise NoteMalformedError(
            "The text of a note ends with a line end, and has no control characters besides."
        )
