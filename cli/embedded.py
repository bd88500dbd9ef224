"""The embedded stack as commands use it: an extra that may not be installed, on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.errors import StackMissingError
from cli.secret_key_file import secret_keys_of
from engine.settings import Settings, load_settings

if TYPE_CHECKING:
    from cli.stack import Stack

# What this machine has, whatever the environment says about another one
_EMBEDDED: Final = {
    "kafka_security_protocol": "PLAINTEXT",
    "replication_factor": 1,
    "api_host": "127.0.0.1",
    "api_drain_ms": 0,
}


def embedded_stack(data_dir: Path, wal_archive: Path | None = None) -> "Stack":
    """A stack on the data directory, not started; raises StackMissingError if it can't be."""
    try:
        from cli.stack import Stack  # noqa: PLC0415  # its packages are an extra
    except ImportError as error:
        raise StackMissingError(
            f"the embedded stack is not installed ({error}): install wallet-engine[embedded], or"
            " set WALLET_KAFKA_BOOTSTRAP and WALLET_DATABASE_URL and run the processes by hand"
        ) from error
    return Stack(data_dir, wal_archive)


def embedded_settings(stack: "Stack") -> Settings:
    """The settings of what runs beside a stack that has started; it has secret keys of its own."""
    return load_settings(
        kafka_bootstrap=stack.kafka_bootstrap,
        database_url=stack.database_url,
        secret_keys=secret_keys_of(stack.data_dir),
        **_EMBEDDED,
    )


def embedded_environment(stack: "Stack", service: str, api_port: int) -> dict[str, str]:
    """What one of the processes beside the stack has to be told, besides the stack's addresses."""
    environment = {f"WALLET_{name}".upper(): str(value) for name, value in _EMBEDDED.items()}
    environment["WALLET_API_PORT"] = str(api_port)
    if load_settings().metrics_port is not None:
        # one port is not enough for all of them: each takes a free one, and its log says which
        environment["WALLET_METRICS_PORT"] = "0"
    if service == "api":
        environment["WALLET_SECRET_KEYS"] = secret_keys_of(stack.data_dir)
    return environment
