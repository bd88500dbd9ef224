"""The id that a new broker is formatted with."""

import base64
import uuid

import pytest

from cli.stack import kafka


def test_an_id_is_never_taken_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    leading_dash = uuid.UUID(bytes=b"\xf8" + bytes(15))
    assert base64.urlsafe_b64encode(leading_dash.bytes).startswith(b"-")
    drawn = [leading_dash, leading_dash, uuid.UUID(int=7)]
    monkeypatch.setattr(kafka.uuid, "uuid4", lambda: drawn.pop(0))
    assert kafka.new_cluster_id() == "AAAAAAAAAAAAAAAAAAAABw"
