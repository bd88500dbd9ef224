"""A checkpoint's file is there whole or not at all, and what was written last is never lost."""

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from audit.checkpoint_files import last_checkpoints, load_checkpoints, save_checkpoints
from audit.checkpoints import ShardCheckpoint, write_checkpoints
from audit.errors import CheckpointError, CheckpointMalformedError, SignatureError
from audit.keys import SigningKey

KEY = SigningKey("wallets.example.com", bytes(32))
NOW = datetime(2026, 5, 24, 10, 0, 0, 7, tzinfo=UTC)


def shards(size: int) -> list[ShardCheckpoint]:
    return [ShardCheckpoint(0, size, bytes(32), 1, bytes(32))]


def save(path: Path, size: int, now: datetime = NOW) -> Path:
    return save_checkpoints(path, write_checkpoints(shards(size), KEY), now)


def test_both_files_hold_the_same(tmp_path):
    path = tmp_path / "checkpoint.txt"
    dated = save(path, 3)
    assert dated.name == "checkpoint.2026-05-24T10-00-00.000007Z.txt"
    assert dated.read_bytes() == path.read_bytes()
    assert load_checkpoints(path, KEY.verifier) == shards(3)
    assert set(tmp_path.iterdir()) == {path, dated}


def test_the_time_in_the_name_is_utc(tmp_path):
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert save(tmp_path / "c", 3, there).name == "c.2026-05-24T10-00-00.000007Z"


def test_a_later_one_leaves_the_earlier_ones_as_they_were(tmp_path):
    path = tmp_path / "checkpoint.txt"
    first = save(path, 3)
    kept = first.read_bytes()
    second = save(path, 4, NOW + timedelta(seconds=1))
    assert (first.read_bytes(), path.read_bytes()) == (kept, second.read_bytes())
    assert kept != path.read_bytes()


@pytest.mark.parametrize("failing", ["fsync", "link", "replace"])
def test_a_write_that_fails_changes_nothing_in_its_place(tmp_path, monkeypatch, failing):
    path = tmp_path / "checkpoint.txt"
    save(path, 3)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    owner = Path if failing == "replace" else os
    monkeypatch.setattr(owner, failing, fail)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(path, 4, NOW + timedelta(seconds=1))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".")]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path, monkeypatch):
    """Process ids come again, in containers as a rule."""
    path = tmp_path / "checkpoint.txt"
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    dated = save(path, 3)
    monkeypatch.undo()
    kept = dated.read_bytes()
    assert len([left for left in tmp_path.iterdir() if left.name.startswith(".")]) == 1
    save(path, 4, NOW + timedelta(seconds=1))
    assert dated.read_bytes() == kept
    assert load_checkpoints(path, KEY.verifier) == shards(4)
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".")]


def test_what_counts_as_last_is_the_newest_of_the_dated_ones_too(tmp_path, monkeypatch):
    """A writer may have ended between the two."""
    path = tmp_path / "checkpoint.txt"
    assert last_checkpoints(path, KEY.verifier) == []
    save(path, 3)
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    save(path, 4, NOW + timedelta(seconds=1))
    assert last_checkpoints(path, KEY.verifier) == [shards(4), shards(3)]


def test_files_of_other_names_do_not_count(tmp_path):
    for name in ("a.txt", "a.b.txt", "[a].txt"):
        save(tmp_path / name, 3)
    save(tmp_path / "other.txt", 9, NOW + timedelta(days=1))
    for name in ("a.txt", "a.b.txt", "[a].txt"):
        assert last_checkpoints(tmp_path / name, KEY.verifier) == [shards(3)] * 2


def test_the_error_names_the_file(tmp_path):
    path = tmp_path / "checkpoint.txt"
    with pytest.raises(CheckpointError, match=r"checkpoint\.txt can't be read"):
        load_checkpoints(path, KEY.verifier)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointMalformedError, match="not text"):
        load_checkpoints(path, KEY.verifier)
    path.write_text("hello\n")
    with pytest.raises(CheckpointMalformedError, match=r"checkpoint\.txt: "):
        load_checkpoints(path, KEY.verifier)


def test_a_file_with_other_line_ends_is_not_believed(tmp_path):
    path = tmp_path / "checkpoint.txt"
    save(path, 3)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises((CheckpointMalformedError, SignatureError)):
        load_checkpoints(path, KEY.verifier)
