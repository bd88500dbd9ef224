"""What a spool holds in memory is bounded, and what was committed is found again."""

import random

import pytest

from projections.spool import Codec, Spool, SpoolUnusableError

TEXT = Codec[str](str.encode, bytes.decode)
WEIGHED = Codec[str](str.encode, bytes.decode, len)


def test_it_is_a_map_whatever_is_at_hand():
    plain, random_ = {}, random.Random(7)
    with Spool() as spool:
        spooled = spool.map("texts", TEXT, weight_max=10)
        for turn in range(3_000):
            key = f"k{random_.randrange(60)}"
            if random_.random() < 0.4:
                plain[key] = spooled[key] = f"v{turn}"
            assert spooled.get(key) == plain.get(key)
            if turn % 500 == 0:
                assert dict(spooled.items()) == plain
                spool.commit()
        assert list(spooled.items()) == sorted(plain.items())
        assert list(spooled.values()) == [plain[key] for key in sorted(plain)]


def test_no_more_is_at_hand_than_weighs_so_much():
    with Spool() as spool:
        spooled = spool.map("texts", WEIGHED, weight_max=100)
        for number in range(1_000):
            spooled[f"k{number}"] = "x" * (number % 40)
            at_hand = [*spooled._recent, *spooled._older]
            assert sum(len(spooled.get(key)) for key in at_hand) <= 100
            assert spooled.at_hand <= 101
        assert [len(spooled.get(f"k{number}")) for number in range(1_000)] == [
            number % 40 for number in range(1_000)
        ]


def test_one_value_that_outweighs_all_is_kept_as_well():
    with Spool() as spool:
        spooled = spool.map("texts", WEIGHED, weight_max=100)
        spooled["big"] = "x" * 1_000
        spooled["small"] = "y"
        assert (spooled.get("big"), spooled.get("small")) == ("x" * 1_000, "y")


def test_keys_are_in_the_order_of_their_bytes():
    keys = ["é", "z", "Z", "a", "\U0001f600", "\uffff", ""]
    with Spool() as spool:
        spooled, rows = spool.map("texts", TEXT), spool.rows("rows")
        for key in keys:
            spooled[key] = key
        rows.put((key, number, f"{key}{number}".encode()) for key in keys for number in (10, 9))
        order = sorted(keys, key=str.encode)
        assert [key for key, _ in spooled.items()] == order
        assert [value.decode() for value in rows.values()] == [
            f"{key}{number}" for key in order for number in (9, 10)
        ]


def test_rows_tell_the_numbers_of_a_text():
    with Spool() as spool:
        rows = spool.rows("rows")
        rows.put([("a", 3, b""), ("a", 1, b""), ("b", 2, b"")])
        assert [rows.numbers(text) for text in "abc"] == [(1, 3), (2,), ()]


def test_what_was_committed_is_found_again_and_nothing_else(tmp_path):
    path = tmp_path / "spool"
    with Spool(path) as spool:
        spooled, rows = spool.map("texts", TEXT, weight_max=1), spool.rows("rows")
        spooled["a"], spooled["b"] = "1", "2"
        rows.put([("a", 1, b"x")])
        spool.note("at", b"here")
        spool.commit()
        spooled["a"], spooled["c"] = "3", "4"
        rows.put([("b", 1, b"y")])
        spool.note("at", b"there")
    with Spool(path) as spool:
        assert dict(spool.map("texts", TEXT).items()) == {"a": "1", "b": "2"}
        assert (spool.rows("rows").get("a", 1), spool.rows("rows").get("b", 1)) == (b"x", None)
        assert (spool.noted("at"), spool.noted("else")) == (b"here", None)


def test_two_processes_are_not_at_work_with_one_file(tmp_path):
    path = tmp_path / "spool"
    with Spool(path) as spool:
        spool.commit()
        with pytest.raises(SpoolUnusableError, match="another process"):
            Spool(path, wait_s=0.1)


def test_a_file_that_is_no_spool(tmp_path):
    path = tmp_path / "spool"
    path.write_bytes(b"something else, and long enough to be looked at" * 100)
    with pytest.raises(SpoolUnusableError, match="delete it"):
        Spool(path)
