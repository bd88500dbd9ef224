"""What a replay expects of a read model equals every way of writing the same."""

import pytest

from projections.expected import JsonOf


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"n": 5}, '{"n": 5.0}'),
        ({"n": 0.1}, '{"n":1e-1}'),
        ({"a": "é", "b": None}, '{"b": null, "a": "\\u00e9"}'),
        ({"n": 2**53 + 1}, '{"n": 9007199254740993}'),
    ],
)
def test_metadata_equals_the_text_of_it(metadata, text):
    assert JsonOf(metadata) == text
    # as a record is compared with what was expected of it
    assert [text] == [JsonOf(metadata)]


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"n": 1}, '{"n": true}'),
        ({"n": 1}, '{"n": "1"}'),
        ({"n": 1}, '{"n": 1, "m": null}'),
        ({"n": 2**53 + 1}, '{"n": 9007199254740992}'),
        ({"n": 1}, "{}"),
        ({"n": 1}, "[1]"),
        ({"n": 1}, "null"),
    ],
)
def test_other_metadata_does_not(metadata, text):
    assert JsonOf(metadata) != text
    assert [text] != [JsonOf(metadata)]
