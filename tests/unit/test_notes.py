"""Signed notes and their keys, held against what other implementations have published."""

import stat

import pytest

from audit.errors import (
    KeyExistsError,
    KeyUnreadableError,
    NoteMalformedError,
    SignatureError,
)
from audit.keys import SigningKey, VerifierKey, read_key, write_key
from audit.notes import parse_note, sign, verified_text

# the example of C2SP's signed-note
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2O"
    "NncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# the example of golang.org/x/mod/sumdb/note, which the format comes from
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgK"
    "vqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_example_of_the_specification_is_verified():
    assert verified_text(SPEC_NOTE, VerifierKey.parse(SPEC_KEY)) == "This is an example message.\n"


def test_the_example_of_the_reference_implementation_is_signed_alike():
    key = SigningKey.parse(GO_SECRET)
    assert str(key.verifier) == GO_KEY
    assert sign(GO_TEXT, key) == GO_NOTE
    assert verified_text(GO_NOTE, VerifierKey.parse(GO_KEY)) == GO_TEXT


@pytest.mark.parametrize("key", [SPEC_KEY, GO_KEY])
def test_a_verifier_key_is_written_as_it_was_read(key):
    assert str(VerifierKey.parse(key + "\n")) == key


def test_a_secret_key_is_written_as_it_was_read():
    assert SigningKey.parse(GO_SECRET).secret_line() == GO_SECRET + "\n"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "example.com/foo",
        SPEC_KEY[:-4],
        SPEC_KEY.replace("530d903a", "530d903b"),
        SPEC_KEY.replace("530d903a", "530D903A"),
        SPEC_KEY.replace("/foo", "/fox"),
        SPEC_KEY.replace("+A", "+B"),
        SPEC_KEY.replace("example.com", "example com"),
        GO_SECRET,
    ],
)
def test_what_is_no_verifier_key(key):
    with pytest.raises(KeyUnreadableError):
        VerifierKey.parse(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        GO_KEY,
        GO_SECRET[:-4],
        GO_SECRET.replace("c74f20a3", "c74f20a4"),
        GO_SECRET.replace("PeterNeumann", "Peter"),
    ],
)
def test_what_is_no_secret_key(key):
    with pytest.raises(KeyUnreadableError):
        SigningKey.parse(key)


def test_a_changed_text_is_refused():
    changed = SPEC_NOTE.replace("example message", "exemple message")
    with pytest.raises(SignatureError, match="changed after it had been signed"):
        verified_text(changed, VerifierKey.parse(SPEC_KEY))


def test_a_note_of_another_key_is_refused():
    with pytest.raises(SignatureError, match=r"signed by PeterNeumann \(c74f20a3\), and not by"):
        verified_text(GO_NOTE, VerifierKey.parse(SPEC_KEY))


def test_the_same_public_key_under_another_name_is_another_key():
    key = SigningKey.parse(GO_SECRET)
    note = sign(GO_TEXT, key.under("Peter"))
    assert verified_text(note, key.verifier.under("Peter")) == GO_TEXT
    with pytest.raises(SignatureError):
        verified_text(note, key.verifier)


def test_signatures_of_others_are_passed_over():
    spec, own = VerifierKey.parse(SPEC_KEY), SigningKey.new("own.example")
    note = sign("This is an example message.\n", own)
    both = SPEC_NOTE + note.rpartition("\n\n")[2]
    assert verified_text(both, spec) == verified_text(both, own.verifier)
    assert [s.name for s in parse_note(both).signatures] == ["example.com/foo", "own.example"]


def test_one_wrong_signature_of_the_key_spoils_the_note():
    key = SigningKey.new("own.example")
    wrong = sign("another text\n", key).rpartition("\n\n")[2]
    for note in (sign("text\n", key) + wrong, sign("text\n", key).replace("\n— ", f"\n{wrong}— ")):
        with pytest.raises(SignatureError):
            verified_text(note, key.verifier)


def test_the_text_may_have_empty_lines():
    key = SigningKey.new("own.example")
    text = "one\n\n— two\n\nthree\n"
    assert verified_text(sign(text, key), key.verifier) == text


@pytest.mark.parametrize("text", ["", "no line end", "a tab\t\n", "a return\r\n", "nul\0\n"])
def test_what_can_be_no_text_of_a_note(text):
    with pytest.raises(NoteMalformedError):
        sign(text, SigningKey.new("own.example"))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        SPEC_NOTE.removesuffix("\n"),
        SPEC_NOTE.replace("\n\n", "\n"),
        SPEC_NOTE.replace("— ", "-- "),
        SPEC_NOTE.replace("— example.com/foo ", "— example.com/foo+1 "),
        SPEC_NOTE.replace("— example.com/foo ", "—  "),
        SPEC_NOTE.replace("Uw2Q", "Uw2!"),
        SPEC_NOTE + "\n",
        SPEC_NOTE + "more\n",
        "a\n\n— example.com/foo Uw2QOg==\n",
        "text\n\n" + "— example.com/foo Uw2QOkn8\n" * 101,
    ],
)
def test_what_is_no_note(note):
    with pytest.raises(NoteMalformedError):
        parse_note(note)


def test_a_key_file_is_its_owners_alone_and_never_written_over(tmp_path):
    path = tmp_path / "key"
    key = SigningKey.new("wallets.example.com")
    write_key(key, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).secret_line() == key.secret_line()
    with pytest.raises(KeyExistsError):
        write_key(SigningKey.new("wallets.example.com"), path)
    assert read_key(path).secret_line() == key.secret_line()


def test_a_key_file_that_others_can_read_is_not_used(tmp_path):
    path = tmp_path / "key"
    write_key(SigningKey.new("wallets.example.com"), path)
    path.chmod(0o640)
    with pytest.raises(KeyUnreadableError, match="chmod 600"):
        read_key(path)


def test_a_key_file_that_is_missing(tmp_path):
    with pytest.raises(KeyUnreadableError, match="--new-key"):
        read_key(tmp_path / "missing")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_what_can_name_no_key(name):
    with pytest.raises(KeyUnreadableError, match="can't name a key"):
        SigningKey.new(name)


def test_a_key_does_not_show_its_secret():
    key = SigningKey.parse(GO_SECRET)
    assert GO_SECRET.rpartition("+")[2][4:] not in f"{key!r}{key}{key.verifier!r}"
