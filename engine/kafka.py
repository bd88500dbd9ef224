"""How clients reach Kafka: the addresses, and SASL and TLS where the settings ask for them."""

from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from aiokafka.helpers import create_ssl_context

from engine.connections import mend_connections
from engine.settings import InvalidSettingError, Settings

if TYPE_CHECKING:
    from faststream.security import BaseSecurity


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client.

    Raises InvalidSettingError if a credential is missing or a certificate can't be read.
    """
    mend_connections()
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL_"):
        options |= _sasl_options(settings)
    if protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def _sasl_options(settings: Settings) -> dict[str, str]:
    if settings.kafka_sasl_username is None or settings.kafka_sasl_password is None:
        raise InvalidSettingError(
            "WALLET_KAFKA_SASL_USERNAME and WALLET_KAFKA_SASL_PASSWORD: both are needed when"
            f" WALLET_KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}"
        )
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }


def _ssl_context(settings: Settings) -> SSLContext:
    try:
        context: SSLContext = create_ssl_context(
            cafile=settings.kafka_ssl_ca_file,
            certfile=settings.kafka_ssl_cert_file,
            keyfile=settings.kafka_ssl_key_file,
        )
    except (OSError, ValueError) as error:
        raise InvalidSettingError(
            "WALLET_KAFKA_SSL_CA_FILE, WALLET_KAFKA_SSL_CERT_FILE, WALLET_KAFKA_SSL_KEY_FILE:"
            f" can't be used: {error}"
        ) from None
    return context


def broker_security(settings: Settings) -> "BaseSecurity | None":
    """The same for FastStream's broker."""
    # FastStream takes half a second to import, which commands that need only a client need not pay
    from faststream.security import (  # noqa: PLC0415
        BaseSecurity,
        SASLPlaintext,
        SASLScram256,
        SASLScram512,
    )

    options = client_options(settings)
    use_ssl, ssl_context = "ssl_context" in options, options.get("ssl_context")
    if not settings.kafka_security_protocol.startswith("SASL_"):
        return BaseSecurity(ssl_context, use_ssl=True) if use_ssl else None
    mechanism = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }[settings.kafka_sasl_mechanism]
    return mechanism(
        options["sasl_plain_username"],
        options["sasl_plain_password"],
        ssl_context,
        use_ssl=use_ssl,
    )
