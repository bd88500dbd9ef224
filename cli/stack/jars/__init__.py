"""The broker's jars: which ones, by lock file, and where they are on this machine."""

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.env import LockedDependency, LockFile
from jgo.maven import Artifact, MavenContext

from cli.stack.errors import JarCorruptError, JarUnavailableError

_LOCK_FILE = Path(__file__).with_name("jgo.lock.toml")
_DOWNLOAD_TIMEOUT_S = 60
_ATTEMPTS = 3
_PROGRESS_EVERY = 10
_MIB = 1024 * 1024


def kafka_version() -> str:
    """The version of Apache Kafka that the lock file names."""
    return next(jar.version for jar in _locked() if jar.artifactId.startswith("kafka_"))


def ensure_jars(on_progress: Callable[[str], None]) -> list[Path]:
    """The paths of all locked jars, fetched where missing, each checked against its SHA-256.

    They live in the local Maven repository (M2_REPO, or ~/.m2/repository).
    """
    context = MavenContext(timeout=_DOWNLOAD_TIMEOUT_S)
    with _one_at_a_time(context.repo_cache):
        jars = [(_artifact(context, jar), _sha256(jar)) for jar in _locked()]
        missing = [artifact for artifact, sha256 in jars if not _is_intact(artifact, sha256)]
        _fetch(missing, on_progress)
        return [_checked(artifact, sha256) for artifact, sha256 in jars]


def _locked() -> list[LockedDependency]:
    return LockFile.load(_LOCK_FILE).dependencies


def _artifact(context: MavenContext, jar: LockedDependency) -> Artifact:
    component = context.project(jar.groupId, jar.artifactId).at_version(jar.version)
    return component.artifact(jar.classifier or "", jar.packaging)


def _sha256(jar: LockedDependency) -> str:
    if jar.sha256 is None:
        raise JarCorruptError(f"{_LOCK_FILE} has no SHA-256 for {jar.artifactId}: run make lock")
    return jar.sha256


def _path(artifact: Artifact) -> Path:
    path = artifact.cached_path
    if path is None:
        raise JarUnavailableError("no local Maven repository is set: set M2_REPO to a directory")
    return path


def _is_intact(artifact: Artifact, sha256: str) -> bool:
    path = _path(artifact)
    if not path.exists():
        return False
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest() == sha256


def _checked(artifact: Artifact, sha256: str) -> Path:
    path = _path(artifact)
    if not _is_intact(artifact, sha256):
        raise JarCorruptError(
            f"{path} is not the jar that {_LOCK_FILE.name} names (SHA-256 {sha256}):"
            " delete it, and if it comes back like this, distrust where it comes from"
        )
    return path


def _fetch(missing: list[Artifact], on_progress: Callable[[str], None]) -> None:
    if missing:
        on_progress(f"fetching {len(missing)} jars of Apache Kafka {kafka_version()}")
    size = 0
    for number, artifact in enumerate(missing, start=1):
        _download(artifact)
        size += _path(artifact).stat().st_size
        if number % _PROGRESS_EVERY == 0 or number == len(missing):
            on_progress(f"fetched {number} of {len(missing)} jars, {size / _MIB:.0f} MiB")


def _download(artifact: Artifact) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        _path(artifact).unlink(missing_ok=True)
        try:
            artifact.resolve()
        except (requests.RequestException, RuntimeError) as error:
            _path(artifact).unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise JarUnavailableError(
                    f"can't fetch {artifact}: {error}. Check the network and the proxy settings"
                    " (HTTPS_PROXY), then try again"
                ) from error
            time.sleep(attempt)
        else:
            return


@contextmanager
def _one_at_a_time(repository: Path) -> Iterator[None]:
    repository.mkdir(parents=True, exist_ok=True)
    with (repository / ".wallet-jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
