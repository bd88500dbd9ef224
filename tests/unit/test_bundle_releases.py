"""Bundles outlive the program that was current when they were made."""

import json
import re
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from audit import verify_bundle
from audit.bundles import VERIFIER
from tests.support.signed_log import zipped

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bundles"
OTHER = b"# this program, as an earlier release had it\n"


def kept(path, directory, program):
    """The golden bundle in `path`, with this program in it: what it is to be verified against."""
    files = {name: (path / name).read_bytes() for name in verify_bundle.FILES[:-1]}
    bundle = zipped(directory / "bundle.zip", files | {"verify_bundle.py": program})
    key = verify_bundle.read_key(str(path / "signer.pub"))
    return bundle, (path / "checkpoint.txt").read_bytes(), key


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_a_bundle_of_any_release_is_good_for_ever(path, tmp_path):
    result = verify_bundle.verify(*kept(path, tmp_path, VERIFIER.read_bytes()))

    said = json.loads((path / "says.json").read_bytes())
    assert result["proved"]
    assert said == {name: result[name] for name in said}


def test_every_format_that_was_ever_written_has_a_golden_bundle():
    formats = {(path / "bundle.json").read_bytes().split(b'"')[3] for path in GOLDEN.iterdir()}

    assert verify_bundle.FORMAT.encode() in formats


def test_the_program_of_an_earlier_release_may_lie_in_a_bundle(tmp_path, monkeypatch):
    golden = kept(GOLDEN / "1-whole", tmp_path, OTHER)
    digest = sha256(OTHER).hexdigest()
    with pytest.raises(verify_bundle.RefusedError, match=f"of SHA-256 {digest}, is not this"):
        verify_bundle.verify(*golden)

    monkeypatch.setitem(verify_bundle.RELEASED, "0.9.0", digest)

    assert verify_bundle.verify(*golden)["proved"]


def test_documents_name_the_digest_of_every_program_that_was_released():
    told = dict(
        re.findall(
            r"^\| (\S+) \| `([0-9a-f]{64})` \|$",
            (ROOT / "docs" / "audit.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    own = sha256(VERIFIER.read_bytes()).hexdigest()
    newest, digest = list(told.items())[-1]

    assert digest == own, f"docs/audit.md: of {newest} it is {own}"
    assert {name: digest for name, digest in told.items() if digest != own} == (
        verify_bundle.RELEASED
    )


def test_a_golden_bundle_is_one_that_a_zip_program_reads(tmp_path):
    bundle, _, _ = kept(GOLDEN / "1-whole", tmp_path, VERIFIER.read_bytes())

    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
