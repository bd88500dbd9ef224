"""Inputs made from kept ones: parts cut out, doubled, replaced, spliced with another's."""

from collections.abc import Sequence

from hypothesis import strategies as st

_TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\0", b"\\u0000", b"\\ud800", b"\xff"),
    *(b"null", b"true", b"0", b"-1", b"1e400", b"9223372036854775807", b"9223372036854775808"),
    *(b"NaN", b"1.0", b"\xef\xbb\xbf", b'"type":', b'"amount":', b'"metadata":{', b"Basic ", b"="),
    b"[" * 2_000,
    b"9" * 5_000,
    "é漢😀\u2028".encode(),
]


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after up to five edits, or bytes that nobody has seen."""
    data = draw(st.sampled_from(seeds) | st.binary(max_size=200))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 40)))
        kind = draw(st.sampled_from(["cut", "double", "token", "bytes", "splice"]))
        put = b""
        if kind == "double":
            put = data[start:stop] * 2
        elif kind == "token":
            put = draw(st.sampled_from(_TOKENS))
        elif kind == "bytes":
            put = draw(st.binary(max_size=8))
        elif kind == "splice":
            other = draw(st.sampled_from(seeds))
            cut = draw(st.integers(0, len(other)))
            put = other[cut : cut + draw(st.integers(0, 60))]
        data = data[:start] + put + data[stop:]
    return data
