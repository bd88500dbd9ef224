"""The bundle verifier's own Ed25519 says what RFC 8032 and the `cryptography` package say."""

import itertools
import json
import random
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit import verify_bundle
from audit.verify_bundle import is_signed

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493

# of section 7.1
RFC_8032 = json.loads(
    (Path(__file__).parents[1] / "golden" / "rfc8032_ed25519.json").read_text(encoding="utf-8")
)


def theirs(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def both(public, message, signature):
    """What we say, once it is what `cryptography` says."""
    ours = is_signed(public, message, signature)
    assert ours == theirs(public, message, signature), (public.hex(), signature.hex())
    return ours


@pytest.mark.parametrize("vector", RFC_8032, ids=[each["name"] for each in RFC_8032])
def test_vectors_of_rfc_8032(vector):
    secret, public, message, signature = (
        bytes.fromhex(vector[name]) for name in ("secret", "public", "message", "signature")
    )
    key = Ed25519PrivateKey.from_private_bytes(secret)
    assert key.public_key().public_bytes_raw() == public
    assert key.sign(message) == signature

    assert both(public, message, signature)
    assert not both(public, message + b"!", signature)
    for bit in range(0, 512, 5):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not both(public, message, bytes(changed)), bit


def test_random_keys_messages_and_changes():
    draw = random.Random(8032)
    for length in range(40):
        key = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        public, message = key.public_key().public_bytes_raw(), draw.randbytes(length * 7)
        signature = key.sign(message)
        assert both(public, message, signature)
        assert not both(public, message + b"\0", signature)
        for _ in range(4):
            both(draw.randbytes(32), message, signature)
            both(public, message, draw.randbytes(32) + signature[32:])
            both(public, message, signature[:32] + draw.randbytes(32))


@pytest.mark.parametrize("lengths", [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_other_lengths_are_no_signatures(lengths):
    public, signature = (bytes(length) for length in lengths)
    assert not both(public, b"", signature)


def test_a_signature_can_be_written_in_one_way_only():
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"once")
    scalar = int.from_bytes(signature[32:], "little")

    for times in range(1, 15):
        again = (scalar + times * ORDER).to_bytes(32, "little")
        assert not both(public, b"once", signature[:32] + again)


def spellings_of_small_order():
    """Every 32 bytes that decode to one of the eight points of small order."""
    root = pow(2, (P - 1) // 4, P)
    torsion = verify_bundle._times(ORDER, _not_in_the_subgroup())
    points = [verify_bundle._times(times, torsion) for times in range(8)]
    ys = {int.from_bytes(verify_bundle._encoded(p), "little") & (1 << 255) - 1 for p in points}
    assert len(ys) == 5
    assert {0, 1, P - 1} < ys
    assert root not in ys
    reduced = {y + add for y in ys for add in (0, P) if y + add < 1 << 255}
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(reduced) for sign in (0, 1)]


def _not_in_the_subgroup():
    """A point whose order is 8 times the subgroup's."""
    for y in itertools.count(2):
        point = verify_bundle._point(y.to_bytes(32, "little"))
        if point is None:
            continue
        rest = verify_bundle._encoded(verify_bundle._times(4, verify_bundle._times(ORDER, point)))
        if rest != verify_bundle._encoded(verify_bundle._IDENTITY):
            return point
    raise AssertionError


def test_small_order_and_other_spellings_are_judged_as_cryptography_judges_them():
    spellings = spellings_of_small_order()
    scalars = [0, 1, ORDER]
    accepted = 0
    for public, start, scalar in itertools.product(spellings, spellings, scalars):
        accepted += both(public, start[:5], start + scalar.to_bytes(32, "little"))
    # that is why keys of small order are refused before anything is verified with them
    assert accepted


def test_keys_with_a_part_of_small_order_are_judged_as_cryptography_judges_them():
    """Whoever multiplies by the cofactor accepts what others refuse: we do what they do."""
    draw = random.Random(25519)
    torsion = verify_bundle._times(ORDER, _not_in_the_subgroup())
    answers = set()
    for times in range(24):
        secret, nonce = draw.randrange(ORDER), draw.randrange(ORDER)
        part = verify_bundle._times(times % 8, torsion)
        public = verify_bundle._encoded(
            verify_bundle._add(verify_bundle._times(secret, verify_bundle._BASE), part)
        )
        start = verify_bundle._encoded(verify_bundle._times(nonce, verify_bundle._BASE))
        message = draw.randbytes(20)
        challenge = int.from_bytes(sha512(start + public + message).digest(), "little") % ORDER
        scalar = (nonce + challenge * secret) % ORDER
        answers.add(both(public, message, start + scalar.to_bytes(32, "little")))
    assert answers == {True, False}


def test_what_is_no_point_is_no_key():
    none = [
        y.to_bytes(32, "little")
        for y in range(2, 60)
        if verify_bundle._point(y.to_bytes(32, "little")) is None
    ]
    assert len(none) > 10
    for public in none:
        assert not both(public, b"", bytes(64))
        assert verify_bundle._is_weak(public)


def test_keys_for_which_anybody_could_sign_are_weak():
    for public in spellings_of_small_order():
        assert verify_bundle._is_weak(public)


def test_proper_keys_are_not_weak_but_other_spellings_of_points_are():
    for seed in range(20):
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        assert not verify_bundle._is_weak(key.public_key().public_bytes_raw())
    above = [y for y in range(19) if verify_bundle._point((P + y).to_bytes(32, "little"))]
    assert len(above) > 5
    for y in above:
        assert verify_bundle._is_weak((P + y).to_bytes(32, "little"))
