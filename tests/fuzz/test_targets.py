"""Nothing that can be handed over breaks what reads it, or makes it take much memory."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.bodies import BODY_BYTES_MAX
from schemas.commands import PAYLOAD_BYTES_MAX
from tests.fuzz.corpus import inputs
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, WRITTEN

_MEMORY_FACTOR = 60
_MEMORY_BYTES = 2 * 1024 * 1024
_LARGEST = max(PAYLOAD_BYTES_MAX, BODY_BYTES_MAX)
_DENSE = [b"[", b'{"a":', b'"', b"\\u0000", b"9", b'{"a":1},', b"=", b"Basic ", "é".encode()]


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_kept(target: str) -> None:
    kept = inputs(target)
    assert kept
    for data in kept:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=600, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_what_is_made_of_it(target: str, data: st.DataObject) -> None:
    TARGETS[target](data.draw(mutated(inputs(target))))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("part", _DENSE)
def test_the_largest_takes_little_memory(target: str, part: bytes) -> None:
    for seed in (b"", *inputs(target)[:5]):
        data = seed[: len(seed) // 2] + part * (_LARGEST // len(part))
        tracemalloc.start()
        try:
            TARGETS[target](data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= _MEMORY_FACTOR * len(data) + _MEMORY_BYTES


def test_the_cursor_that_was_written_is_among_the_kept() -> None:
    """So mutations are of one that is good."""
    assert WRITTEN.encode() in inputs("cursor")
