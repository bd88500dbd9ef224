"""Entries as the checks compare them: plain dicts, times in microseconds, nothing for people."""

from typing import Any

import msgspec

from tests.simulation.reading import microseconds, without_absent


def logged(data: bytes) -> dict[str, Any]:
    """One entry of the log. Raises ValueError or KeyError if it is none."""
    entry: dict[str, Any] = msgspec.json.decode(data)
    entry["occurred_at"] = microseconds(entry["occurred_at"])
    event = entry["event"]
    event.pop("message", None)
    if event.get("expires_at") is not None:
        event["expires_at"] = microseconds(event["expires_at"])
    if "command" in event:
        event["command"] = without_absent(event["command"])
    return entry
