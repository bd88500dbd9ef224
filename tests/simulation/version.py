"""Which version of the project this is, as a number to draw seeds from."""

import subprocess
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_RUNS_IN_SIMULATION = ("schemas", "engine", "projections", "tests/simulation")


class Version(NamedTuple):
    """What it was told by, and the first seed that belongs to it."""

    name: str
    first_seed: int


def version(root: Path = ROOT) -> Version:
    """By the commit's id; without git, or outside of a repository, by the sources themselves."""
    try:
        told = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        digest = _digest(root)
        return Version(f"no commit's id here, so by the sources {digest[:12]}", _seed(digest))
    return Version(f"commit {told.stdout[:12]}", _seed(told.stdout))


def _digest(root: Path) -> str:
    digest = sha256()
    for package in _RUNS_IN_SIMULATION:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _seed(digits: str) -> int:
    return int(digits[:8], 16)
