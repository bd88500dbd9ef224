"""Checkpoints as C2SP's tlog-checkpoint has them, and the file that holds those of all shards."""

import pytest

from audit.checkpoints import (
    Checkpoint,
    ShardCheckpoint,
    parse_checkpoint,
    read_checkpoints,
    sign_checkpoint,
    split_notes,
    write_checkpoints,
)
from audit.errors import CheckpointMalformedError, NoteMalformedError, SignatureError
from audit.keys import SigningKey
from audit.notes import parse_note, sign

# secret from a seed, so that what is frozen below is the same for ever
KEY = SigningKey("wallets.example.com", bytes(range(32)))
ROOT, OTHER_ROOT = bytes(range(32)), bytes(range(1, 33))
FROZEN = """\
wallets.example.com/shard/0/log
20852163
AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

— wallets.example.com/shard/0/log ktX25x1rUSe6eUUKvSB5izY95J+4qUg8BPAZeeuL77n/IxLC74n5i5JFy/2Kv8z1BkF62BJzpzPuoAYMupuFHCPO7Ak=

wallets.example.com/shard/0/wallets/20852163
17
AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=

— wallets.example.com/shard/0/wallets/20852163 sWSSLwBufF2n8xb+YpZAABZmzOK5sIFyhRTInSaiLCPrTJIKgmk7djWkKqtWdfsEMyV+/L0NHBnjD7odGh0Imn2jkQc=
"""
SHARDS = [
    ShardCheckpoint(0, 20852163, ROOT, 17, OTHER_ROOT),
    ShardCheckpoint(3, 0, OTHER_ROOT, 0, ROOT),
]


def test_the_text_is_that_of_the_specifications_example():
    example = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    origin, _, _ = example.partition("\n")
    root = bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")
    assert Checkpoint(origin, 20852163, root).text() == example


def test_the_file_is_the_same_for_ever():
    assert write_checkpoints(SHARDS[:1], KEY) == FROZEN


def test_each_tree_has_an_origin_and_is_signed_under_it():
    notes = [parse_note(note) for note in split_notes(write_checkpoints(SHARDS, KEY))]
    origins = [note.text.partition("\n")[0] for note in notes]
    assert origins == [
        "wallets.example.com/shard/0/log",
        "wallets.example.com/shard/0/wallets/20852163",
        "wallets.example.com/shard/3/log",
        "wallets.example.com/shard/3/wallets/0",
    ]
    assert [note.signatures[0].name for note in notes] == origins


def test_what_was_written_is_read():
    assert read_checkpoints(write_checkpoints(SHARDS, KEY), KEY.verifier) == SHARDS
    assert read_checkpoints(write_checkpoints(SHARDS[::-1], KEY), KEY.verifier) == SHARDS


def test_a_witness_may_have_signed_too():
    witness = SigningKey.new("witness.example")
    notes = split_notes(write_checkpoints(SHARDS, KEY))
    signed = [note + sign(parse_note(note).text, witness).rpartition("\n\n")[2] for note in notes]
    assert read_checkpoints("\n".join(signed), KEY.verifier) == SHARDS


def test_lines_after_the_third_are_passed_over():
    origin = "wallets.example.com/shard/0/log"
    note = sign(Checkpoint(origin, 3, ROOT).text() + "more\n", KEY.under(origin))
    assert parse_checkpoint(note, KEY.verifier) == Checkpoint(origin, 3, ROOT)


@pytest.mark.parametrize("at", range(4))
def test_a_changed_size_or_root_of_any_note_is_found(at):
    notes = split_notes(write_checkpoints(SHARDS, KEY))
    lines = notes[at].split("\n")
    for number, text in ((1, "4"), (2, "A" * 43 + "=")):
        changed = [*lines[:number], text, *lines[number + 1 :]]
        file = "\n".join([*notes[:at], "\n".join(changed), *notes[at + 1 :]])
        with pytest.raises(SignatureError):
            read_checkpoints(file, KEY.verifier)


def test_another_keys_file_is_refused():
    other = SigningKey.new("wallets.example.com")
    with pytest.raises(SignatureError, match="not by"):
        read_checkpoints(write_checkpoints(SHARDS, other), KEY.verifier)


def test_a_file_of_another_service_with_the_same_key_is_refused():
    with pytest.raises(CheckpointMalformedError, match=r"no tree of wallets\.example\.com"):
        read_checkpoints(write_checkpoints(SHARDS, KEY.under("other.example")), KEY.verifier)


def test_one_note_of_another_service_with_the_same_key_is_refused():
    for origin in ("other.example/shard/0/log", "wallets.example.com.other/shard/0/log", "x"):
        note = sign_checkpoint(Checkpoint(origin, 3, ROOT), KEY)
        with pytest.raises(CheckpointMalformedError, match="is it the verifier key"):
            parse_checkpoint(note, KEY.verifier)


def test_a_signature_of_one_tree_is_none_of_another():
    text = Checkpoint("wallets.example.com/shard/0/log", 3, ROOT).text()
    note = sign(text, KEY.under("wallets.example.com/shard/1/log"))
    with pytest.raises(SignatureError):
        parse_checkpoint(note, KEY.verifier)


def test_the_wallets_of_another_size_do_not_belong_to_a_log():
    log = SHARDS[0].trees(KEY.name)[0]
    wallets = ShardCheckpoint(0, 5, ROOT, 17, OTHER_ROOT).trees(KEY.name)[1]
    file = "\n".join(sign_checkpoint(tree, KEY) for tree in (log, wallets))
    with pytest.raises(CheckpointMalformedError, match="no note of the wallets that belongs"):
        read_checkpoints(file, KEY.verifier)


def test_a_file_with_a_part_missing_or_twice_is_refused():
    notes = split_notes(write_checkpoints(SHARDS, KEY))
    for left in (notes[:1], notes[1:], [*notes, notes[0]]):
        with pytest.raises(CheckpointMalformedError):
            read_checkpoints("\n".join(left), KEY.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "wallets.example.com/shard/0/log\n03\n{root}\n",
        "wallets.example.com/shard/0/log\n-3\n{root}\n",
        "wallets.example.com/shard/0/log\n٣\n{root}\n",
        "wallets.example.com/shard/0/log\n3\nAAAA\n",
        "wallets.example.com/shard/0/log\n3\n",
        "wallets.example.com/shard/0/log\n3\n{root}\n\nmore\n",
        "wallets.example.com/shard/00/log\n3\n{root}\n",
    ],
)
def test_what_is_signed_and_no_checkpoint_of_a_log(text):
    text = text.replace("{root}", "A" * 43 + "=")
    note = sign(text, KEY.under(text.partition("\n")[0]))
    with pytest.raises((CheckpointMalformedError, NoteMalformedError)):
        read_checkpoints(note, KEY.verifier)


@pytest.mark.parametrize("text", ["", "\n", "hello\n", "\n\n\n", FROZEN[:-30]])
def test_what_is_no_file_of_checkpoints(text):
    with pytest.raises((CheckpointMalformedError, NoteMalformedError)):
        read_checkpoints(text, KEY.verifier)
