"""Whatever is wrong with a bundle is refused with a sentence, and no check could be left out."""

import ast
import copy
import random
import re
import traceback
from hashlib import sha512
from pathlib import Path
from types import ModuleType

import pytest

from audit import verify_bundle
from audit.bundles import VERIFIER
from tests.support.bundle_forgeries import ALL, EARLY, FORGERIES, LATE, LOG, MINE
from tests.support.signed_log import KEY, checked, zipped

SOURCE = VERIFIER.read_text(encoding="utf-8")


def refusal(forgery, directory, program=verify_bundle):
    """What the program says of a forgery, and the line it says it in; None if it is taken in."""
    bundle, checkpoint, key = forgery.make(directory)
    try:
        program.verify(bundle, checkpoint, program.read_key(key))
    except (program.RefusedError, program.NothingCheckedError) as error:
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__)]
        cause = error.__context__
        if isinstance(cause, program.RefusedError):
            frames = [f.lineno for f in traceback.extract_tb(cause.__traceback__)]
        return str(error), frames[-1]
    return None


@pytest.mark.parametrize("forgery", FORGERIES, ids=[forgery.name for forgery in FORGERIES])
def test_a_forgery_is_refused_in_words(forgery, tmp_path):
    said = refusal(forgery, tmp_path)

    assert said is not None
    assert re.search(forgery.said, said[0]), said


def test_forgeries_have_names_of_their_own():
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES)


@pytest.mark.parametrize("name", LOG.bundle(MINE))
def test_no_bit_of_a_bundle_can_be_changed(name, tmp_path):
    draw = random.Random(name)
    files = LOG.bundle(MINE)
    for _ in range(30):
        data = bytearray(files[name])
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path = zipped(tmp_path / "bundle.zip", files | {name: bytes(data)})
        with pytest.raises(verify_bundle.RefusedError):
            checked(path, LOG.checkpoint)


def checks():
    """Each condition that something is refused under, and each with one of its parts left out.

    As the line that refuses, that of the condition, the condition, and it with the part left out.
    """
    for node in ast.walk(ast.parse(SOURCE)):
        if not isinstance(node, ast.If) or not _refuses(node.body[0]):
            continue
        for changed in ("False", *_with_a_part_left_out(node.test)):
            yield node.body[0].lineno, node.lineno, ast.unparse(node.test), changed


def _with_a_part_left_out(condition):
    parts = [node for node in ast.walk(condition) if isinstance(node, ast.BoolOp)]
    for number, part in enumerate(parts):
        if not isinstance(part.op, ast.Or):
            continue
        for left_out in range(len(part.values)):
            changed = copy.deepcopy(condition)
            same = [node for node in ast.walk(changed) if isinstance(node, ast.BoolOp)][number]
            same.values[left_out] = ast.Constant(False)
            yield ast.unparse(changed)


def _refuses(statement):
    if isinstance(statement, ast.Return):
        return isinstance(statement.value, ast.Constant) and statement.value.value is False
    return isinstance(statement, ast.Raise)


CHECKS = list(checks())


def program_with(line, condition):
    """The verifier with another condition in the `if` of this line."""
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.lineno == line:
            node.test = ast.parse(condition, mode="eval").body
    module = ModuleType("changed_verifier")
    module.__file__ = str(VERIFIER)
    exec(compile(ast.fix_missing_locations(tree), str(VERIFIER), "exec"), module.__dict__)
    return module


def false_signatures():
    """Public key, message, signature: none is one, and each for a reason of its own."""
    secret, nonce, message = 8, 32, b"message"
    key = encoded(secret)
    start = encoded(nonce)
    right = signed(start, key, nonce, secret, message)
    assert verify_bundle.is_signed(key, message, start + right.to_bytes(32, "little"))
    longer = key + b"\0"
    for_longer = signed(start, longer, nonce, secret, message)
    yield longer, message, start + for_longer.to_bytes(32, "little")
    yield key, message, start + right.to_bytes(33, "little")
    yield key, message, start + (right + verify_bundle._ORDER).to_bytes(32, "little")
    yield (2).to_bytes(32, "little"), message, start + right.to_bytes(32, "little")


def encoded(times):
    return verify_bundle._encoded(verify_bundle._times(times, verify_bundle._BASE))


def signed(start, key, nonce, secret, message):
    challenge = int.from_bytes(sha512(start + key + message).digest(), "little")
    return (nonce + challenge * secret) % verify_bundle._ORDER


def test_false_signatures_are_refused():
    for public_key, message, signature in false_signatures():
        assert verify_bundle.is_signed(public_key, message, signature) is False


@pytest.fixture(scope="module")
def refused_in(tmp_path_factory):
    """The forgeries by the line that refuses them."""
    directory = tmp_path_factory.mktemp("forgeries")
    by_line = {}
    for forgery in FORGERIES:
        _, line = refusal(forgery, directory)
        by_line.setdefault(line, []).append(forgery)
    return by_line


def test_all_conditions_are_found():
    assert len(CHECKS) > 60


@pytest.mark.parametrize(
    ("raised", "line", "condition", "changed"),
    CHECKS,
    ids=[f"{condition} -> {changed}" for _, _, condition, changed in CHECKS],
)
def test_no_check_could_be_left_out(raised, line, condition, changed, refused_in, tmp_path):
    program = program_with(line, changed)

    def is_noticed(forgery):
        try:
            said = refusal(forgery, tmp_path, program)
        except Exception:  # noqa: BLE001 whatever a missing check leads to
            return True
        return said is None or not re.search(forgery.said, said[0])

    def is_taken(signature):
        try:
            return program.is_signed(*signature)
        except TypeError:
            return True

    assert any(is_taken(signature) for signature in false_signatures()) or any(
        is_noticed(forgery) for forgery in refused_in.get(raised, FORGERIES)
    )


@pytest.mark.parametrize("period", [ALL, LATE, EARLY])
def test_honest_bundles_are_taken_in(period, tmp_path):
    path = zipped(tmp_path / "bundle.zip", LOG.bundle(MINE, *period))

    assert checked(path, LOG.checkpoint, str(KEY.verifier))["proved"] is True
    assert Path(path).exists()
