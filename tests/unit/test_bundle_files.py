"""The file of a bundle is there whole or not at all, and what a checkpoint says is read or refused."""

import os
from pathlib import Path

import pytest

from audit import bundles
from audit.bundles import BundleWriter, Period
from audit.checkpoint_files import load_unsigned_trees
from audit.errors import BundleError, BundleTooLargeError, CheckpointError, NoteError
from projections.wallet_trees import WalletLeaf, WalletProof, WalletTree
from tests.support.bundle_forgeries import LOG, MINE
from tests.support.signed_log import checked

ROOT = bytes(32)


def account():
    """The proof of the wallet's account, as the read side gives it."""
    (index,) = [n for n, leaf in enumerate(LOG.leaves) if leaf[0] == MINE]
    tree = WalletTree(0, len(LOG.entries), len(LOG.leaves), LOG.wallets().root(0, 3))
    return WalletProof(
        tree, WalletLeaf(*LOG.leaves[index]), index, LOG.wallets().path(index, 0, 3)
    )


def write(path, positions=None):
    with BundleWriter.open(path, account(), Period()) as bundle:
        for position in LOG.positions(MINE) if positions is None else positions:
            bundle.add(LOG.entries[position], LOG.log().path(position, 0, len(LOG.entries)))


def test_what_is_written_is_proved(tmp_path):
    write(tmp_path / "bundle.zip")

    assert checked(tmp_path / "bundle.zip", LOG.checkpoint)["proved"] is True


def test_the_same_entries_make_the_same_file(tmp_path):
    write(tmp_path / "one.zip")
    write(tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_bundle_that_breaks_off_is_not_there(tmp_path):
    (tmp_path / "bundle.zip").write_bytes(b"before")

    with pytest.raises(IndexError):
        write(tmp_path / "bundle.zip", [*LOG.positions(MINE), 10**6])

    assert (tmp_path / "bundle.zip").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]


def test_a_bundle_that_can_not_be_put_anywhere_says_so(tmp_path):
    with pytest.raises(BundleError, match=r"can't be written to .*bundle"):
        write(tmp_path / "no" / "bundle.zip")


def test_only_a_file_is_ever_replaced_by_a_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")

    for place in (Path(), Path("pipe"), Path("/")):
        with pytest.raises(BundleError, match="no file"):
            write(place)

    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("pipe", True)]


def test_a_bundle_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "FILE_BYTES_MAX", 1_000)

    with pytest.raises(BundleTooLargeError, match="--from and --to"):
        write(tmp_path / "bundle.zip")

    assert list(tmp_path.iterdir()) == []


def heads(tmp_path, data):
    path = tmp_path / "checkpoint.txt"
    path.write_bytes(data)
    return load_unsigned_trees(path, 0)


def test_tree_heads_are_read_without_a_key(tmp_path):
    read = heads(tmp_path, LOG.checkpoint)

    assert (read.shard, read.size, read.wallets) == (0, len(LOG.entries), len(LOG.leaves))
    assert read.log_root == LOG.log().root(0, len(LOG.entries))
    assert read.wallets_root == LOG.wallets().root(0, len(LOG.leaves))


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        LOG.checkpoint[:100],
        LOG.checkpoint.replace(b"shard/0", b"shard/1"),
        LOG.checkpoint.replace(b"log\n", b"log\nx", 1),
        LOG.checkpoint.replace(b"/wallets/", b"/wallets/9"),
        LOG.checkpoint.replace(b"=\n\n", b"\n\n", 1),
        LOG.checkpoint.replace(b"log\n", b"log\n" + b"9" * 5_000, 1),
        LOG.checkpoint.replace(b"log\n", b"log\n" + "\u0661".encode(), 1),
    ],
)
def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path, spoilt):
    with pytest.raises((CheckpointError, NoteError)):
        heads(tmp_path, spoilt)


def test_a_checkpoint_that_is_not_there_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match="wallet checkpoint"):
        load_unsigned_trees(tmp_path / "checkpoint.txt", 0)
