"""Inputs that are kept: those that found something, or that reach what others don't."""

from pathlib import Path

DIRECTORY = Path(__file__).with_name("corpus")


def inputs(target: str) -> list[bytes]:
    """The kept inputs of a target, always in the same order."""
    return [path.read_bytes() for path in sorted((DIRECTORY / target).iterdir())]
