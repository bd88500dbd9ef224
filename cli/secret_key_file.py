"""The file with the secret keys of a service on this machine, made at its first start."""

import os
import secrets
from pathlib import Path
from typing import Final

_NAME: Final = "secret-keys"
_ONLY_ITS_OWNER: Final = 0o600


def secret_keys_of(data_dir: Path) -> str:
    """What WALLET_SECRET_KEYS is for the service in this directory; nobody else can read it."""
    path = secret_keys_path(data_dir)
    if not path.exists():
        _write(path, secrets.token_hex(32))
    return path.read_text(encoding="utf-8", errors="replace").strip()


def secret_keys_path(data_dir: Path) -> Path:
    """Where `secret_keys_of` keeps them."""
    return data_dir / _NAME


def _write(path: Path, text: str) -> None:
    # a start that is killed here must not leave a file with half a key
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_ITS_OWNER)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    new.rename(path)
