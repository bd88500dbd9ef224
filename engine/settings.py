"""Settings, from `WALLET_*` environment variables."""

from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

_ORIGIN: Final = r"^(https?://[^/?#@\s]+(/[^?#\s]*)?)?$"
"""What paths can be appended to; nothing at all is as if it were not set."""


class InvalidSettingError(ValueError):
    """A setting is missing or wrong; the text is one line that names the variable."""


class Settings(BaseSettings):
    """What every process of the service can be told. Times are in the unit their names end with."""

    model_config = SettingsConfigDict(env_prefix="WALLET_", extra="ignore")

    database_url: Annotated[str, Field(repr=False)] = "postgresql://wallet@127.0.0.1:5432/wallet"
    database_timeout_ms: Annotated[int, Field(ge=100)] = 10_000

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        "PLAINTEXT"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca_file: str | None = None
    kafka_ssl_cert_file: str | None = None
    kafka_ssl_key_file: str | None = None

    commands_topic: str = "wallet.commands"
    events_topic: str = "wallet.events"
    dead_letters_topic: str = "wallet.dead-letters"
    partitions: Annotated[int, Field(ge=1, le=4096)] = 4
    replication_factor: Annotated[int, Field(ge=1)] = 1
    group: str = "wallet-engine"
    session_timeout_ms: Annotated[int, Field(ge=1_000)] = 10_000

    batch_commands_max: Annotated[int, Field(ge=1)] = 4_000
    queue_commands_max: Annotated[int, Field(ge=1)] = 20_000
    unpublished_entries_max: Annotated[int, Field(ge=1)] = 50_000
    cached_wallets_max: Annotated[int, Field(ge=1)] = 50_000
    snapshot_every_versions: Annotated[int, Field(ge=1)] = 200
    decider_failures_max: Annotated[int, Field(ge=1)] = 20

    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    api_deadline_ms: Annotated[int, Field(ge=1)] = 10_000
    api_drain_ms: Annotated[int, Field(ge=0)] = 5_000
    secret_keys: SecretStr = SecretStr("")
    public_url: Annotated[str, Field(pattern=_ORIGIN)] | None = None
    trusted_proxies: str = ""
    rate_limits_file: str | None = None
    idempotency_hours: Annotated[int, Field(ge=24)] = 48
    checkout_minutes: Annotated[int, Field(ge=1)] = 30
    readyz_lag_entries_max: Annotated[int, Field(ge=1)] = 50_000

    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    traces: bool = False

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


# what may have a password or key in it is not repeated to whoever reads the terminal or the log
_UNTOLD = {"database_url", "kafka_sasl_password", "secret_keys"}


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; raises InvalidSettingError with one line for all mistakes."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        mistakes = "; ".join(_told(str(each["loc"][0]), each) for each in error.errors())
        raise InvalidSettingError(mistakes) from None


def _told(name: str, mistake: ErrorDetails) -> str:
    told = f"WALLET_{name.upper()}: {mistake['msg']}"
    return told if name in _UNTOLD else f"{told} (it is {mistake['input']!r})"
