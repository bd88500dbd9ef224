import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.access import rate_limits
from api.access.rate_limits import PARTS_PER_SECOND, SLOTS, RateLimits
from engine.settings import InvalidSettingError, Settings

SECOND = 1_000_000_000
PART = SECOND // PARTS_PER_SECOND


class Clock:
    """A clock that is moved by hand, in nanoseconds."""

    def __init__(self) -> None:
        self.now = 10**15

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "limits")


@pytest.fixture
def limits(path: str, clock: Clock) -> Iterator[RateLimits]:
    limits = RateLimits(path, clock)
    yield limits
    limits.close()


def admitted(limits: RateLimits, key: str, per_second: int, asked: int = 1_000) -> int:
    return sum(limits.admits(key, per_second) for _ in range(asked))


@pytest.mark.parametrize("step", [SECOND // 1_000, SECOND // 333, PART // 3 + 1, PART])
@pytest.mark.parametrize("per_second", [1, 7, 100])
def test_no_second_sees_more_than_the_limit_and_none_much_less(
    limits, clock, step, per_second
) -> None:
    let_through: list[int] = []
    start = clock.now
    while clock.now < start + 4 * SECOND:
        burst = admitted(limits, "key", per_second, per_second + 1 if step > PART // 4 else 3)
        let_through += [clock.now] * burst
        clock.now += step
    for place, moment in enumerate(let_through[per_second:]):
        assert moment - let_through[place] >= SECOND
    periods = 4 * PARTS_PER_SECOND // (PARTS_PER_SECOND + 1)
    assert len(let_through) >= per_second * periods


@given(st.lists(st.tuples(st.integers(0, SECOND // 2), st.integers(1, 12)), max_size=60))
@settings(deadline=None)
def test_no_second_sees_more_however_requests_come(arrivals) -> None:
    clock, let_through = Clock(), []
    with TemporaryDirectory() as directory:
        limits = RateLimits(f"{directory}/limits", clock)
        for pause, asked in arrivals:
            clock.now += pause
            let_through += [clock.now] * admitted(limits, "key", 10, asked)
        limits.close()
    for place, moment in enumerate(let_through[10:]):
        assert moment - let_through[place] >= SECOND


def test_what_was_counted_late_in_a_part_counts_for_a_whole_second(limits, clock) -> None:
    clock.now += PART - 1
    assert admitted(limits, "key", 10, 5) == 5
    clock.now += 31 * PART + 1
    assert admitted(limits, "key", 10) == 5


def test_a_refused_request_does_not_count(limits, clock) -> None:
    assert admitted(limits, "key", 100, 5_000) == 100
    clock.now += SECOND + PART
    assert admitted(limits, "key", 100) == 100


def test_keys_do_not_share(limits) -> None:
    assert [admitted(limits, key, 100) for key in ("one", "two", "one")] == [100, 100, 0]


def test_a_changed_rate_counts_at_once(limits) -> None:
    assert [admitted(limits, "key", rate) for rate in (100, 250, 50, 260)] == [100, 150, 0, 10]


def test_processes_share_what_they_count(limits, path, clock) -> None:
    assert admitted(limits, "key", 100, 60) == 60
    other = RateLimits(path, clock)
    assert admitted(other, "key", 100) == 40
    other.close()
    assert admitted(limits, "key", 100) == 0


def test_what_a_reboot_left_behind_counts_for_nothing(limits, path) -> None:
    assert admitted(limits, "key", 100) == 100
    for uptime in (0, 3 * SECOND):
        rebooted = RateLimits(path, lambda now=uptime: now)
        assert admitted(rebooted, "key", 100) == 100
        assert admitted(rebooted, "key", 100) == 0
        rebooted.close()


def test_a_full_table_takes_over_the_slot_where_least_was_counted(limits, clock) -> None:
    homes: dict[int, list[str]] = {}
    for number in range(10**6):
        name = f"key{number}"
        keys = homes.setdefault(rate_limits._key(name) % SLOTS, [])
        keys.append(name)
        if len(keys) > 33:
            break
    for place, name in enumerate(keys[:32], start=5):
        assert admitted(limits, name, place) == place
    assert admitted(limits, keys[32], 100) == 100
    # all but the first still have their counts
    assert [admitted(limits, name, 5) for name in keys[1:33]] == [0] * 32
    clock.now += 2 * SECOND
    assert admitted(limits, keys[5], 100) == 100
    # a slot that idled goes to a new key, none that is in use
    assert admitted(limits, keys[33], 100) == 100
    assert admitted(limits, keys[5], 100) == 0


def test_what_a_stopped_process_writes_late_is_old(limits, clock) -> None:
    slot = limits._claim(rate_limits._key("key"))
    late = limits._now() << 24 | 99
    place = slot + 1 + limits._now() % 33
    clock.now += 2 * SECOND
    assert admitted(limits, "key", 100) == 100
    limits._words[place] = late
    assert admitted(limits, "key", 100) == 0


def test_the_file_is_this_users_alone(tmp_path, path) -> None:
    RateLimits(path).close()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    open_to_all = tmp_path / "open"
    open_to_all.touch(mode=0o600)
    open_to_all.chmod(0o644)
    other_file = tmp_path / "letter"
    other_file.touch(mode=0o600)
    other_file.write_text("Dear reader")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, mode=0o600)
    directory = tmp_path / "directory"
    directory.mkdir(mode=0o700)
    for name in ("link", "open", "letter", "fifo", "directory", "nowhere/x"):
        with pytest.raises(InvalidSettingError, match="WALLET_RATE_LIMITS_FILE") as refused:
            RateLimits(str(tmp_path / name))
        assert "\n" not in str(refused.value)
    assert other_file.read_text() == "Dear reader"


def test_the_file_is_found_by_the_database(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    urls = ("postgresql://a/one", "postgresql://a/two", "postgresql://a/one")
    for url in urls:
        RateLimits.of(Settings(database_url=url, rate_limits_file=None)).close()
    (directory,) = tmp_path.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert len(list(directory.iterdir())) == 2
    RateLimits.of(Settings(rate_limits_file=str(tmp_path / "named"))).close()
    assert (tmp_path / "named").exists()


def test_a_directory_that_others_can_write_to_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    RateLimits.of(Settings(rate_limits_file=None)).close()
    (directory,) = tmp_path.iterdir()
    directory.chmod(0o777)
    with pytest.raises(InvalidSettingError, match="not a directory of this user's alone"):
        RateLimits.of(Settings(rate_limits_file=None))


def test_a_directory_that_is_a_link_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / f"wallet-{os.geteuid()}").symlink_to(elsewhere)
    with pytest.raises(InvalidSettingError, match="not a directory of this user's alone"):
        RateLimits.of(Settings(rate_limits_file=None))
